import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the command-line tools of one Apache Kafka, each as often as wanted, in a single JVM: starting one for each call costs more
 * than the call.
 *
 * Needs Java 17, whose security manager tells when a tool asks to end the JVM.
 *
 * Reads calls from standard input, a line each: class, standard input and arguments, in Base64, between blanks. Answers each with a
 * line on standard output: exit status, and in Base64 standard output and standard error. A call has threads of its own, and
 * what these and those that they start print is the call's. A tool that asks to end is left standing where it asked; a shutdown
 * hook runs at the end of the call that added it.
 */
public class Tools {
    static class Call {
        final ByteArrayOutputStream out = new ByteArrayOutputStream();
        final ByteArrayOutputStream err = new ByteArrayOutputStream();
        final InputStream in;
        final List<Runnable> hooks = new ArrayList<>();
        final CountDownLatch ended = new CountDownLatch(1);
        int status;

        Call(byte[] in) {
            this.in = new ByteArrayInputStream(in);
        }

        synchronized void end(int status) {
            if (ended.getCount() > 0)
                this.status = status;
            ended.countDown();
        }
    }

    static final InheritableThreadLocal<Call> CALL = new InheritableThreadLocal<>();
    static final Call NOBODY = new Call(new byte[0]);

    static Call call() {
        Call c = CALL.get();
        return c == null ? NOBODY : c;
    }

    static class Printed extends OutputStream {
        final boolean err;

        Printed(boolean err) {
            this.err = err;
        }

        ByteArrayOutputStream to() {
            return err ? call().err : call().out;
        }

        @Override public void write(int b) {
            to().write(b);
        }

        @Override public void write(byte[] b, int from, int n) {
            to().write(b, from, n);
        }
    }

    static class Typed extends InputStream {
        @Override public int read() throws java.io.IOException {
            return call().in.read();
        }

        @Override public int read(byte[] b, int from, int n) throws java.io.IOException {
            return call().in.read(b, from, n);
        }

        @Override public int available() throws java.io.IOException {
            return call().in.available();
        }
    }

    static void stand(int status) {
        call().end(status);
        try {
            new CountDownLatch(1).await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** What the tool gave to Runtime.addShutdownHook, taken away from it. */
    @SuppressWarnings("unchecked")
    static List<Thread> hooks() throws ReflectiveOperationException {
        java.lang.reflect.Field f = Class.forName("java.lang.ApplicationShutdownHooks").getDeclaredField("hooks");
        f.setAccessible(true);
        Map<Thread, Thread> all = (Map<Thread, Thread>) f.get(null);
        List<Thread> hooks = new ArrayList<>(all.keySet());
        hooks.forEach(Runtime.getRuntime()::removeShutdownHook);
        return hooks;
    }

    static void run(Call c, String tool, String[] args) {
        try {
            Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) args);
            c.end(0);
        } catch (InvocationTargetException e) {
            e.getCause().printStackTrace();
            c.end(1);
        } catch (Throwable e) {
            e.printStackTrace();
            c.end(70);
        }
    }

    public static void main(String[] unused) throws Exception {
        PrintStream answers = System.out;
        BufferedReader calls = new BufferedReader(new InputStreamReader(System.in));
        System.setIn(new Typed());
        System.setOut(new PrintStream(new Printed(false), true));
        System.setErr(new PrintStream(new Printed(true), true));
        Exit.setExitProcedure((status, message) -> stand(status));
        Exit.setHaltProcedure((status, message) -> stand(status));
        Exit.setShutdownHookAdder((name, hook) -> call().hooks.add(hook));
        java.security.Policy.setPolicy(new java.security.Policy() {
            @Override public boolean implies(java.security.ProtectionDomain d, java.security.Permission p) {
                return true;
            }
        });
        System.setSecurityManager(new SecurityManager() {
            @Override public void checkExit(int status) {
                stand(status);
            }

            @Override public void checkPermission(java.security.Permission p) { }
        });
        hooks(); // those of the JVM itself
        Base64.Decoder decoder = Base64.getDecoder();
        Base64.Encoder encoder = Base64.getEncoder();
        for (String line = calls.readLine(); line != null; line = calls.readLine()) {
            byte[][] words = Arrays.stream(line.split(" ", -1)).map(decoder::decode).toArray(byte[][]::new);
            String[] args = new String[words.length - 2];
            for (int i = 0; i < args.length; i++)
                args[i] = new String(words[i + 2]);
            Call c = new Call(words[1]);
            Thread t = new Thread(() -> {
                CALL.set(c);
                run(c, new String(words[0]), args);
            });
            t.setDaemon(true);
            t.start();
            c.ended.await();
            for (Thread hook : hooks())
                c.hooks.add(hook);
            Thread end = new Thread(() -> {
                CALL.set(c);
                c.hooks.forEach(Runnable::run);
            });
            end.setDaemon(true);
            end.start();
            end.join(10_000);
            answers.println(c.status + " " + encoder.encodeToString(c.out.toByteArray()) + " " + encoder.encodeToString(c.err.toByteArray()));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }
}
