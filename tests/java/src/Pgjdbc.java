import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyManager;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;

/**
 * pgjdbc with HikariCP.
 *
 * <p>It runs its scenarios and prints one JSON object, as tests/python/common.py says. From its fifth execution on, pgjdbc
 * prepares a statement at the server, and then asks for binary results.
 */
public final class Pgjdbc {
    private static final String CARDS =
        "SELECT id, number, cvv, expires::text FROM cards WHERE id <= 3 ORDER BY id";
    private static final String CUSTOMER = "SELECT id, email, ssn FROM customers WHERE id = ?";
    private static final String ADD_REFUND =
        "INSERT INTO refunds (payment_id, amount, reason) VALUES (1, 1.50, 'driver test')";
    private static final String COUNT_REFUNDS = "SELECT count(*) FROM refunds WHERE reason = 'driver test'";
    private static final String SERIES = "SELECT g FROM generate_series(1, 1000000) AS g";
    private static final String ENDLESS = "SELECT count(*) FROM generate_series(1, 10000000000)";
    private static final String TYPES =
        "SELECT ?::numeric, ?::timestamptz, ?::uuid, ?::jsonb, ?::int4[], ?::int4range, ?::bytea, ROW(1, 'x'), "
            + "?::float8, ?::bool, ?::date, NULL::text, ?::interval";

    private static final Map<String, Object> RESULTS = new LinkedHashMap<>();

    private Pgjdbc() {}

    private interface Work {
        Object run() throws Exception;
    }

    /** What comes of it, or its database error. */
    private static Object outcome(Work work) throws Exception {
        try {
            return work.run();
        } catch (SQLException failed) {
            return failure(failed);
        }
    }

    private static Object failure(SQLException failed) {
        SQLException first = failed;
        while (first.getNextException() != null && first.getSQLState() == null) {
            first = first.getNextException();
        }
        Map<String, Object> error = new LinkedHashMap<>();
        error.put("sqlstate", first.getSQLState());
        error.put("message", first.getMessage());
        return error;
    }

    private static void report(String scenario, Work work) throws Exception {
        if (RESULTS.containsKey(scenario)) {
            throw new IllegalStateException(scenario + " was reported before");
        }
        RESULTS.put(scenario, outcome(work));
    }

    private static List<Object> rows(ResultSet result) throws SQLException {
        List<Object> rows = new ArrayList<>();
        int width = result.getMetaData().getColumnCount();
        while (result.next()) {
            List<Object> row = new ArrayList<>();
            for (int column = 1; column <= width; column++) {
                row.add(plain(result.getObject(column)));
            }
            rows.add(row);
        }
        return rows;
    }

    private static Object plain(Object value) throws SQLException {
        if (value instanceof byte[] bytes) {
            return HexFormat.of().formatHex(bytes);
        }
        if (value instanceof java.sql.Array array) {
            return Arrays.deepToString((Object[]) array.getArray());
        }
        if (value instanceof java.sql.Timestamp moment) {
            return moment.toInstant().toString();
        }
        return value instanceof Number || value instanceof Boolean || value == null ? value : value.toString();
    }

    private static Object simple(Connection connection, String text) throws Exception {
        return outcome(() -> {
            try (Statement statement = connection.createStatement()) {
                return statement.execute(text) ? rows(statement.getResultSet()) : statement.getUpdateCount();
            }
        });
    }

    private static Object customer(PreparedStatement statement, long id) throws Exception {
        return outcome(() -> {
            statement.setLong(1, id);
            return rows(statement.executeQuery());
        });
    }

    private static void reads(Connection connection) throws Exception {
        List<Object> simple = new ArrayList<>();
        for (int run = 0; run < 3; run++) {
            simple.add(simple(connection, CARDS));
        }
        report("simple", () -> simple);
        List<Object> repeated = new ArrayList<>();
        try (PreparedStatement statement = connection.prepareStatement(CUSTOMER)) {
            for (int run = 0; run < 7; run++) {
                repeated.add(customer(statement, 1));
            }
        }
        report("prepared", () -> repeated);
        report("types", () -> {
            List<Object> all = new ArrayList<>();
            try (PreparedStatement statement = connection.prepareStatement(TYPES)) {
                for (int run = 0; run < 6; run++) {
                    statement.setBigDecimal(1, new java.math.BigDecimal("12.340"));
                    statement.setObject(2, OffsetDateTime.of(2026, 1, 2, 3, 4, 5, 678000000, ZoneOffset.UTC));
                    statement.setObject(3, new UUID(0, 7));
                    statement.setString(4, "{\"a\": [1, null]}");
                    statement.setArray(5, connection.createArrayOf("int4", new Integer[] {1, 2, 3}));
                    statement.setString(6, "[1,5)");
                    statement.setBytes(7, new byte[] {0, (byte) 255});
                    statement.setDouble(8, 0.1);
                    statement.setBoolean(9, true);
                    statement.setObject(10, java.time.LocalDate.of(2024, 2, 29));
                    statement.setString(11, "90 minutes");
                    all.add(rows(statement.executeQuery()));
                }
            }
            return all;
        });
        report("simple_metadata", () -> {
            try (ResultSet columns = connection.getMetaData().getColumns(null, "public", "cards", null)) {
                List<Object> names = new ArrayList<>();
                while (columns.next()) {
                    names.add(columns.getString("COLUMN_NAME") + " " + columns.getString("TYPE_NAME"));
                }
                return names;
            }
        });
    }

    private static void batches(Connection connection, String denied) throws Exception {
        connection.setAutoCommit(false);
        report("pipeline", () -> {
            String add = "INSERT INTO refunds (payment_id, amount, reason) VALUES (?, ?, 'driver test')";
            try (PreparedStatement statement = connection.prepareStatement(add)) {
                for (int number = 1; number <= 3; number++) {
                    statement.setLong(1, 1);
                    statement.setBigDecimal(2, new java.math.BigDecimal(number));
                    statement.addBatch();
                }
                return Arrays.toString(statement.executeBatch());
            }
        });
        report("pipeline_rows", () -> simple(connection, COUNT_REFUNDS));
        connection.rollback();
        report("pipeline_denied", () -> {
            try (Statement statement = connection.createStatement()) {
                statement.addBatch(ADD_REFUND);
                statement.addBatch(denied);
                statement.addBatch(ADD_REFUND);
                return Arrays.toString(statement.executeBatch());
            }
        });
        connection.rollback();
        report("pipeline_left", () -> simple(connection, COUNT_REFUNDS));
        connection.rollback();
        connection.setAutoCommit(true);
    }

    private static void copies(Connection connection) throws Exception {
        CopyManager copies = connection.unwrap(PGConnection.class).getCopyAPI();
        report("copy_out", () -> {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            copies.copyOut("COPY (SELECT id, number, cvv FROM cards WHERE id <= 3 ORDER BY id) TO STDOUT", out);
            return out.toString(StandardCharsets.UTF_8);
        });
        connection.setAutoCommit(false);
        report("copy_in", () -> {
            byte[] lines = "1\t2.50\tdriver test\n1\t3.50\tdriver test\n".getBytes(StandardCharsets.UTF_8);
            String into = "COPY refunds (payment_id, amount, reason) FROM STDIN";
            return copies.copyIn(into, new ByteArrayInputStream(lines));
        });
        report("copy_in_rows", () -> simple(connection, COUNT_REFUNDS));
        connection.rollback();
        connection.setAutoCommit(true);
    }

    private static void cursors(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        report("cursor", () -> {
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(2);
                ResultSet walk = statement.executeQuery("SELECT id, number FROM cards ORDER BY id");
                List<Object> few = new ArrayList<>();
                while (few.size() < 5 && walk.next()) {
                    few.add(List.of(walk.getLong(1), String.valueOf(walk.getString(2))));
                }
                return few;
            }
        });
        report("stream", () -> {
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(5000);
                long sum = 0;
                ResultSet numbers = statement.executeQuery(SERIES);
                while (numbers.next()) {
                    sum += numbers.getLong(1);
                }
                return sum;
            }
        });
        connection.rollback();
        connection.setAutoCommit(true);
    }

    private static void stops(Connection connection) throws Exception {
        simple(connection, "SET statement_timeout = '100ms'");
        report("timeout", () -> simple(connection, ENDLESS));
        simple(connection, "RESET statement_timeout");
        report("cancel", () -> {
            try (Statement statement = connection.createStatement()) {
                // The driver sends a CancelRequest when it is over.
                statement.setQueryTimeout(1);
                return rows(statement.executeQuery(ENDLESS));
            }
        });
        report("cancel_then", () -> simple(connection, "SELECT 1"));
    }

    private static void notifications(Connection connection) throws Exception {
        report("notify", () -> {
            try (Statement statement = connection.createStatement()) {
                statement.execute("LISTEN driver_tests");
                statement.execute("NOTIFY driver_tests, 'a word'");
                PGNotification[] heard = connection.unwrap(PGConnection.class).getNotifications(10_000);
                statement.execute("UNLISTEN driver_tests");
                return List.of(heard[0].getName(), heard[0].getParameter());
            }
        });
    }

    private static void largeObjects(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        report("large_object", () -> {
            LargeObjectManager objects = connection.unwrap(PGConnection.class).getLargeObjectAPI();
            long oid = objects.createLO();
            try (LargeObject object = objects.open(oid)) {
                object.write("some bytes".getBytes(StandardCharsets.UTF_8));
                object.seek(5);
                return new String(object.read(100), StandardCharsets.UTF_8);
            }
        });
        connection.rollback();
        connection.setAutoCommit(true);
    }

    private static void transactions(Connection connection, String denied) throws Exception {
        for (String[] failing : new String[][] {{"error", "SELECT 1 / 0"}, {"denied", denied}}) {
            String name = "transaction_" + failing[0];
            connection.setAutoCommit(false);
            report(name + "_insert", () -> simple(connection, ADD_REFUND));
            report(name, () -> simple(connection, failing[1]));
            report(name + "_then", () -> simple(connection, "SELECT 1"));
            report(name + "_commit", () -> {
                connection.commit();
                return "committed";
            });
            connection.rollback();
            connection.setAutoCommit(true);
            report(name + "_left", () -> simple(connection, COUNT_REFUNDS));
        }
    }

    private static String required(String name) {
        String value = System.getenv(name);
        if (value == null) {
            throw new IllegalStateException("the environment variable " + name + " is missing");
        }
        return value;
    }

    private static HikariDataSource pool() {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl("jdbc:postgresql://" + required("SLUICE_HOST") + ":" + required("SLUICE_PORT") + "/"
            + required("SLUICE_DATABASE") + "?sslmode=verify-full&sslrootcert=" + required("SLUICE_CA"));
        config.setUsername(required("SLUICE_USER"));
        config.setPassword(required("SLUICE_TOKEN"));
        config.setMaximumPoolSize(1);
        return new HikariDataSource(config);
    }

    /** From what Maven puts into every jar. */
    private static String version(String artifact) throws Exception {
        try (InputStream file = Pgjdbc.class.getResourceAsStream("/META-INF/maven/" + artifact + "/pom.properties")) {
            Properties properties = new Properties();
            if (file != null) {
                properties.load(file);
            }
            return properties.getProperty("version", "");
        }
    }

    public static void main(String[] arguments) throws Exception {
        String denied = required("SLUICE_DENIED");
        try (HikariDataSource pool = pool()) {
            try (Connection connection = pool.getConnection()) {
                String driver = "pgjdbc " + connection.getMetaData().getDriverVersion();
                String hikari = "HikariCP " + version("com.zaxxer/HikariCP");
                report("about", () -> Map.of("driver", driver, "pool", hikari));
                reads(connection);
                batches(connection, denied);
                copies(connection);
                cursors(connection);
                stops(connection);
                notifications(connection);
                largeObjects(connection);
                transactions(connection, denied);
            }
            List<Object> pooled = new ArrayList<>();
            for (long id = 1; id <= 3; id++) {
                try (Connection connection = pool.getConnection();
                    PreparedStatement statement = connection.prepareStatement(CUSTOMER)) {
                    pooled.add(customer(statement, id));
                }
            }
            report("pool", () -> pooled);
        }
        StringBuilder out = new StringBuilder();
        write(RESULTS, out);
        System.out.println(out);
    }

    private static void write(Object value, StringBuilder out) {
        if (value instanceof Map<?, ?> members) {
            out.append('{');
            String between = "";
            for (Map.Entry<?, ?> member : members.entrySet()) {
                out.append(between);
                write(member.getKey(), out);
                out.append(':');
                write(member.getValue(), out);
                between = ",";
            }
            out.append('}');
        } else if (value instanceof List<?> items) {
            out.append('[');
            String between = "";
            for (Object item : items) {
                out.append(between);
                write(item, out);
                between = ",";
            }
            out.append(']');
        } else if (value instanceof Number || value instanceof Boolean || value == null) {
            out.append(value);
        } else {
            out.append('"');
            for (char symbol : value.toString().toCharArray()) {
                if (symbol == '"' || symbol == '\\' || symbol < ' ') {
                    out.append(String.format("\\u%04x", (int) symbol));
                } else {
                    out.append(symbol);
                }
            }
            out.append('"');
        }
    }
}
