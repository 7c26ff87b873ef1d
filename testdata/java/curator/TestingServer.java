package org.apache.curator.test;

import java.io.Closeable;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Stands in front of Curator's class of this name on the class path: Curator's tests then start the coordinator that the system
 * property coordinator names (a command, to which a zoo.cfg is appended) where they would start a ZooKeeper in their own process.
 * The configuration is what Curator's class gives its ZooKeeper, with the system properties that Curator's tests set for it.
 */
public class TestingServer implements Closeable {
    private final InstanceSpec spec;
    private Process process;

    public TestingServer() throws Exception { this(-1, null, true); }
    public TestingServer(boolean start) throws Exception { this(-1, null, start); }
    public TestingServer(int port) throws Exception { this(port, null, true); }
    public TestingServer(int port, boolean start) throws Exception { this(port, null, start); }
    public TestingServer(int port, File directory) throws Exception { this(port, directory, true); }
    public TestingServer(int port, File directory, boolean start) throws Exception {
        this(new InstanceSpec(directory, port, -1, -1, true, -1), start);
    }
    public TestingServer(InstanceSpec spec, boolean start) throws Exception {
        this.spec = spec;
        if (start) start();
    }

    public int getPort() { return spec.getPort(); }
    public File getTempDirectory() { return spec.getDataDirectory(); }
    public String getConnectString() { return spec.getConnectString(); }

    public synchronized void start() throws Exception {
        if (process != null) return;
        Path data = spec.getDataDirectory().toPath();
        Files.createDirectories(data);
        Path config = data.resolve("zoo.cfg");
        try (PrintWriter out = new PrintWriter(config.toFile())) {
            out.println("dataDir=" + data);
            out.println("clientPort=" + spec.getPort());
            out.println("tickTime=" + (spec.getTickTime() > 0 ? spec.getTickTime() : 3000));
            if (spec.getMaxClientCnxns() >= 0) out.println("maxClientCnxns=" + spec.getMaxClientCnxns());
            for (Map.Entry<String, Object> e : spec.getCustomProperties().entrySet()) out.println(e.getKey() + "=" + e.getValue());
            for (String name : System.getProperties().stringPropertyNames()) {
                if (name.startsWith("znode.")) out.println(name + "=" + System.getProperty(name));
                if (name.equals("zookeeper.extendedTypesEnabled")) out.println(name.substring(10) + "=" + System.getProperty(name));
            }
        }
        List<String> command = new ArrayList<>(List.of(System.getProperty("coordinator").split(" ")));
        command.add(config.toString());
        File log = data.resolve("console").toFile();
        process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(log)).start();
        Process started = process;
        Runtime.getRuntime().addShutdownHook(new Thread(started::destroyForcibly));
        for (long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20); ; Thread.sleep(5)) {
            try (Socket s = new Socket()) {
                s.connect(new InetSocketAddress(spec.getHostname(), spec.getPort()), 1000);
                return;
            } catch (IOException e) {
                if (!process.isAlive() || System.nanoTime() > end) throw new Exception("no coordinator: " + Files.readString(log.toPath()), e);
            }
        }
    }

    public synchronized void stop() throws IOException {
        if (process == null) return;
        process.destroy();
        try {
            if (!process.waitFor(20, TimeUnit.SECONDS)) throw new IOException("the coordinator does not stop");
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
        process = null;
    }

    public void restart() throws Exception {
        stop();
        start();
    }

    @Override
    public void close() throws IOException {
        stop();
        if (!spec.deleteDataDirectoryOnClose() || !spec.getDataDirectory().exists()) return;
        try (var files = Files.walk(spec.getDataDirectory().toPath())) {
            files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        }
    }
}
