// Rates prints what Kafka's own metrics say of random events, for TestRatesAgreeWithKafka:
//   java -cp "$(scripts/apache cp kafka-3.9)" broker/quota/testdata/Rates.java > broker/quota/testdata/kafka.json

import java.util.*;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.metrics.*;
import org.apache.kafka.common.metrics.stats.*;
import kafka.utils.QuotaUtils;

public class Rates {
    public static void main(String[] args) {
        Random random = new Random(39);
        System.out.println("[");
        int[][] windows = {{11, 1}, {11, 1}, {2, 1}, {3, 5}, {1, 1}, {11, 10}};
        for (int run = 0; run < 24; run++) {
            int samples = windows[run % 6][0], seconds = windows[run % 6][1];
            boolean bucket = run >= 18;
            double limit = bucket ? 1 + random.nextInt(50) / 4.0 : 1000 + random.nextInt(100000);
            double size = limit * seconds * (bucket ? 3 : 1);
            Metrics metrics = new Metrics();
            Sensor sensor = metrics.sensor("s");
            sensor.add(metrics.metricName("m", "g"), bucket ? new TokenBucket() : new Rate(),
                new MetricConfig().timeWindow(seconds, TimeUnit.SECONDS).samples(samples).quota(new Quota(limit, true)));
            long now = 1732400000000L + random.nextInt(100000), begin = now;
            StringBuilder out = new StringBuilder();
            for (int i = 0; i < 120; i++) {
                // Mostly short steps, now and then a silence of several samples or of the whole window.
                int kind = random.nextInt(20);
                now += kind == 0 ? random.nextInt(3 * samples * seconds * 1000) : kind < 5 ? random.nextInt(3000 * seconds) : random.nextInt(700 * seconds);
                double value = Math.rint(size * random.nextDouble() * (kind == 7 ? 40 : 2));
                long throttle = 0;
                try {
                    sensor.record(value, now, true);
                } catch (QuotaViolationException e) {
                    throttle = bucket ? Math.round(-e.value() / e.bound() * 1000) : QuotaUtils.throttleTime(e, now);
                }
                if (i > 0) out.append(",");
                out.append(String.format("[%d,%.0f,%d]", now - begin, value, throttle));
            }
            System.out.printf("{\"samples\":%d,\"seconds\":%d,\"limit\":%s,\"bucket\":%b,\"events\":[%s]}%s%n", samples, seconds, limit, bucket, out, run < 23 ? "," : "");
            metrics.close();
        }
        System.out.println("]");
    }
}
