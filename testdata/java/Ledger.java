import java.nio.ByteBuffer;
import java.util.Enumeration;
import java.util.Scanner;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.bookkeeper.client.BookKeeper;
import org.apache.bookkeeper.client.LedgerEntry;
import org.apache.bookkeeper.client.LedgerHandle;
import org.apache.bookkeeper.conf.ClientConfiguration;

/**
 * A writer of one BookKeeper ledger: Ledger METADATA-SERVICE-URI. It adds numbered entries, each to two bookies, for as long as nothing
 * comes on its standard input, and prints "acked N" once in a hundred. Each line of input is answered: "n" by the number of entries that are
 * acknowledged, "end" by closing the ledger and reading all of it back with another client.
 */
public class Ledger {
    public static void main(String[] args) throws Exception {
        ClientConfiguration config = new ClientConfiguration().setMetadataServiceUri(args[0]).setZkTimeout(6000).setAddEntryTimeout(3);
        BookKeeper client = new BookKeeper(config);
        LedgerHandle ledger = client.createLedger(2, 2, 2, BookKeeper.DigestType.CRC32C, "pw".getBytes());
        AtomicLong acked = new AtomicLong();
        boolean[] stop = {false};
        Thread writer = new Thread(() -> {
            try {
                for (long n = 0; !stop[0]; n++, Thread.sleep(2)) {
                    ledger.addEntry(ByteBuffer.allocate(8).putLong(n).array());
                    acked.incrementAndGet();
                }
            } catch (Exception e) {
                e.printStackTrace();
                System.exit(1);
            }
        });
        writer.start();
        System.out.println("ledger " + ledger.getId());
        for (Scanner in = new Scanner(System.in); in.hasNextLine();) {
            if (!in.nextLine().equals("end")) {
                System.out.println("acked " + acked.get());
                continue;
            }
            stop[0] = true;
            writer.join();
            int ensembles = ledger.getLedgerMetadata().getAllEnsembles().size();
            ledger.close();
            client.close();
            BookKeeper other = new BookKeeper(config);
            LedgerHandle again = other.openLedger(ledger.getId(), BookKeeper.DigestType.CRC32C, "pw".getBytes());
            long next = 0;
            for (Enumeration<LedgerEntry> e = again.readEntries(0, again.getLastAddConfirmed()); e.hasMoreElements(); next++) {
                long n = ByteBuffer.wrap(e.nextElement().getEntry()).getLong();
                if (n != next) throw new IllegalStateException("entry " + next + " holds " + n);
            }
            if (next != acked.get()) throw new IllegalStateException(next + " entries of " + acked.get());
            again.close();
            other.deleteLedger(ledger.getId());
            other.close();
            System.out.println("read " + next + " entries, " + ensembles + " ensembles");
            System.exit(0);
        }
    }
}
