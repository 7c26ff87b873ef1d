// Prints the layouts of Apache Kafka's request bodies, as its own compiled message classes describe them: facts about the
// protocol that broker/api/shape embeds and checks bodies against. See scripts/shapes.
//
//   shapes               KIND KEY NAME VERSIONS LAYOUT, a line for each run of versions that are laid out alike
//   cases VECTORS SEED   KIND KEY VERSION HEX LEFT: bodies of VECTORS (testdata/messages) and broken variants of them, and how many of
//                        their bytes Apache Kafka's message classes leave unread, or x if they refuse the body
import java.io.*;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.zip.GZIPInputStream;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.protocol.types.*;

class Shapes {
    // What a broker asks of other brokers, and decodes the answers of.
    static final Set<String> ANSWERS = Set.of("LeaderAndIsr", "StopReplica", "UpdateMetadata", "ControlledShutdown", "AllocateProducerIds", "ApiVersions");

    public static void main(String[] args) throws Exception {
        if (args[0].equals("shapes")) shapes();
        else new Cases(Long.parseLong(args[2])).print(args[1]);
    }

    static boolean wanted(ApiMessageType api, boolean request) {
        return api.listeners().contains(ApiMessageType.ListenerType.ZK_BROKER) && (request || ANSWERS.contains(api.name));
    }

    static void shapes() throws Exception {
        for (ApiMessageType api : ApiMessageType.values()) {
            if (wanted(api, true)) runs("Q", api, api.requestSchemas());
            if (wanted(api, false)) runs("P", api, api.responseSchemas());
        }
    }

    static void runs(String kind, ApiMessageType api, Schema[] schemas) throws Exception {
        int last = api.highestSupportedVersion(true), first = api.lowestSupportedVersion();
        for (int v = first; v <= last; v++) {
            String s = layout(schemas[v]);
            if (v < last && s.equals(layout(schemas[v + 1]))) continue;
            System.out.println(String.join(" ", kind, "" + api.apiKey(), api.name, first + "-" + v, s.isEmpty() ? "." : s));
            first = v + 1;
        }
    }

    static String layout(Schema schema) throws Exception {
        StringBuilder s = new StringBuilder();
        for (BoundField f : schema.fields()) s.append(layout(f.def.type));
        return s.toString();
    }

    static String layout(Type t) throws Exception {
        String null_ = t.isNullable() ? "?" : "";
        if (t instanceof Schema) return "{" + layout((Schema) t) + "}";
        if (t instanceof TaggedFields) {
            StringJoiner s = new StringJoiner(",", "<", ">");
            for (var e : new TreeMap<>(tagged((TaggedFields) t)).entrySet()) s.add(e.getKey() + ":" + layout(e.getValue().type));
            return s.toString();
        }
        String name = ((Type.DocumentedType) t).typeName();
        if (t.isArray()) {
            Type e = t.arrayElementType().get();
            String s = layout(e);
            return (name.startsWith("COMPACT_") ? "(" + s + ")" : "[" + s + "]") + null_;
        }
        return switch (name.replace("NULLABLE_", "")) {
            case "BOOLEAN", "INT8" -> "1";
            case "INT16", "UINT16" -> "2";
            case "INT32", "UINT32" -> "4";
            case "INT64", "FLOAT64" -> "8";
            case "UUID" -> "u";
            case "STRING" -> "s" + null_;
            case "COMPACT_STRING" -> "S" + null_;
            case "BYTES", "RECORDS" -> "b" + null_;
            case "COMPACT_BYTES", "COMPACT_RECORDS" -> "B" + null_;
            default -> throw new IllegalArgumentException(name);
        };
    }

    @SuppressWarnings("unchecked")
    static Map<Integer, Field> tagged(TaggedFields t) throws ReflectiveOperationException {
        var f = TaggedFields.class.getDeclaredField("fields");
        f.setAccessible(true);
        return (Map<Integer, Field>) f.get(t);
    }

    static class Cases {
        final Random random;
        Cases(long seed) { random = new Random(seed); }

        void print(String vectors) throws Exception {
            Map<String, List<byte[]>> bodies = new LinkedHashMap<>();
            try (var in = new BufferedReader(new InputStreamReader(new GZIPInputStream(new FileInputStream(vectors))))) {
                for (String line; (line = in.readLine()) != null; ) {
                    String[] c = line.split(" ", -1);
                    if (wanted(ApiMessageType.fromApiKey(Short.parseShort(c[1])), c[0].equals("Q")))
                        bodies.computeIfAbsent(c[0] + " " + c[1] + " " + c[3], k -> new ArrayList<>()).add(HexFormat.of().parseHex(c[5]));
                }
            }
            for (var e : bodies.entrySet()) {
                String[] c = e.getKey().split(" ");
                ApiMessageType api = ApiMessageType.fromApiKey(Short.parseShort(c[1]));
                Schema[] schemas = c[0].equals("Q") ? api.requestSchemas() : api.responseSchemas();
                int v = Integer.parseInt(c[2]);
                if (v < api.highestSupportedVersion(true) && layout(schemas[v]).equals(layout(schemas[v + 1]))) continue; // one version of a run will do
                Set<String> seen = new HashSet<>();
                for (int i = 0; i < 32; i++) {
                    byte[] b = e.getValue().get(i % e.getValue().size());
                    if (i > 0) b = broken(b);
                    String hex = HexFormat.of().formatHex(b);
                    if (seen.add(hex)) System.out.println(e.getKey() + " " + (hex.isEmpty() ? "." : hex) + " " + verdict(api, c[0].equals("Q"), (short) v, b));
                }
            }
        }

        static String verdict(ApiMessageType api, boolean request, short version, byte[] body) {
            ByteBuffer b = ByteBuffer.wrap(body);
            try {
                ApiMessage m = request ? api.newRequest() : api.newResponse();
                m.read(new ByteBufferAccessor(b), version);
                return "" + b.remaining();
            } catch (RuntimeException e) {
                return "x";
            }
        }

        static final String[] PIECES = {"00", "01", "02", "03", "7f", "80", "ff", "fe", "ffff", "8000", "7fff", "ffffffff", "80000000", "7fffffff", "00000000", "0000", "0001",
            "8000", "808000", "80808000", "8080808000", "808080808000", "ffffffff07", "ffffffff0f", "ffffff7f", "0100", "010000", "0209000800", "0208000900", "0209000900",
            "01070161", "01070261", "0101050102030405", "8100"};

        byte[] broken(byte[] b) {
            byte[] piece = HexFormat.of().parseHex(PIECES[random.nextInt(PIECES.length)]);
            int at = b.length == 0 ? 0 : random.nextInt(b.length);
            switch (random.nextInt(8)) {
                case 0: return splice(b, at, b.length - at, new byte[0]);                             // cut off
                case 1: return splice(b, b.length, 0, piece);                                         // more behind it
                case 2: return splice(b, at, 0, piece);                                               // more in between
                case 3: return splice(b, at, Math.min(1 + random.nextInt(4), b.length - at), new byte[0]); // less in between
                case 4: return b.length > 0 && b[b.length - 1] == 0 ? splice(b, b.length - 1, 1, piece) : splice(b, at, 0, piece); // the last tags
                default: return splice(b, at, Math.min(piece.length, b.length - at), piece);
            }
        }

        static byte[] splice(byte[] b, int at, int drop, byte[] piece) {
            ByteBuffer r = ByteBuffer.allocate(b.length - drop + piece.length);
            r.put(b, 0, at).put(piece).put(b, at + drop, b.length - at - drop);
            return r.array();
        }
    }
}
