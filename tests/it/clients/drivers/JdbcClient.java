// pgjdbc against the embedded engine: COPY, batches, prepared statements in both transfer forms, a cursor in portions, errors, and every
// question of DatabaseMetaData that BI tools ask.

import java.io.StringReader;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.util.ArrayList;
import java.util.List;
import org.postgresql.PGConnection;

public class JdbcClient {
    interface Question {
        ResultSet ask() throws SQLException;
    }

    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:postgresql://" + arguments[0] + ":" + arguments[1] + "/materialize?user=materialize";
        try (Connection connection = DriverManager.getConnection(url)) {
            ingest(connection);
            queries(connection);
            metadata(connection.getMetaData());
        }
        try (Connection connection = DriverManager.getConnection(url + "&preferQueryMode=simple")) {
            queries(connection);
            metadata(connection.getMetaData());
        }
        System.out.println("pgjdbc " + org.postgresql.Driver.getVersion() + " ok");
    }

    static void ingest(Connection connection) throws Exception {
        String lines = change(0) + "\n" + change(1) + "\n";
        equal(2L, ((PGConnection) connection).getCopyAPI().copyIn("COPY wikirecent FROM STDIN", new StringReader(lines)));
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO wikirecent VALUES (?)")) {
            for (int number = 2; number < 5; number++) {
                insert.setString(1, change(number));
                insert.addBatch();
            }
            equal(3, insert.executeBatch().length);
        }
    }

    static void queries(Connection connection) throws SQLException {
        String sql = "SELECT dt, bot, title, length_new FROM recentchanges WHERE wiki = ? AND dt <= ? AND length_new > ? ORDER BY title";
        try (PreparedStatement select = connection.prepareStatement(sql)) {
            select.setString(1, "testwiki");
            select.setTimestamp(2, new Timestamp(System.currentTimeMillis()));
            select.setInt(3, 1);
            // From the fifth time on the driver has prepared it at the server, and asks for binary rows.
            for (int time = 0; time < 7; time++) {
                try (ResultSet rows = select.executeQuery()) {
                    equal(true, rows.next());
                    equal(1785857069724L, rows.getTimestamp(1).getTime());
                    equal(true, rows.getBoolean(2));
                    equal("Title 2", rows.getString(3));
                    equal(2, rows.getInt(4));
                    equal(true, rows.next() && rows.next() && !rows.next());
                }
            }
        }
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(2);
            equal(List.of("Title 0", "Title 1", "Title 2", "Title 3", "Title 4"),
                column(statement.executeQuery("SELECT title FROM recentchanges ORDER BY title"), "title"));
            try {
                statement.executeQuery("SELECT nosuch");
                throw new AssertionError("an unknown column was found");
            } catch (SQLException error) {
                equal("42703", error.getSQLState());
            }
        }
        connection.rollback();
        connection.setAutoCommit(true);
        equal(true, connection.isValid(10));
        equal("public", connection.getSchema());
    }

    static void metadata(DatabaseMetaData data) throws SQLException {
        equal(true, column(data.getTables(null, "public", "top%", new String[] {"VIEW"}), "TABLE_NAME").contains("top10"));
        equal(List.of("user", "count"), column(data.getColumns(null, "public", "top10", "%"), "COLUMN_NAME"));
        equal(List.of("1", "2"), column(data.getColumns(null, "public", "top10", null), "ORDINAL_POSITION"));
        equal(List.of("text", "int8"), column(data.getColumns(null, "public", "top10", null), "TYPE_NAME"));
        equal(true, column(data.getSchemas(), "TABLE_SCHEM").contains("public"));
        equal(List.of("materialize"), column(data.getCatalogs(), "TABLE_CAT"));
        equal(true, column(data.getTypeInfo(), "TYPE_NAME").contains("timestamptz"));
        List<Question> nothing = List.of(
            () -> data.getPrimaryKeys(null, "public", "top10"),
            () -> data.getIndexInfo(null, "public", "top10", false, true),
            () -> data.getImportedKeys(null, "public", "top10"),
            () -> data.getExportedKeys(null, "public", "top10"),
            () -> data.getCrossReference(null, "public", "top10", null, "public", "counter"),
            () -> data.getBestRowIdentifier(null, "public", "top10", DatabaseMetaData.bestRowTransaction, true),
            () -> data.getColumnPrivileges(null, "public", "top10", "%"),
            () -> data.getUDTs(null, null, "%", null));
        for (Question question : nothing) {
            equal(List.of(), column(question.ask(), 1));
        }
        List<Question> anything = List.of(
            data::getTableTypes,
            data::getClientInfoProperties,
            () -> data.getTables(null, null, "%", null),
            () -> data.getColumns(null, null, null, null),
            () -> data.getTablePrivileges(null, "public", "top10"),
            () -> data.getVersionColumns(null, "public", "top10"),
            () -> data.getFunctions(null, null, "%"),
            () -> data.getFunctionColumns(null, null, "%", "%"),
            () -> data.getProcedures(null, null, "%"),
            () -> data.getProcedureColumns(null, null, "%", "%"));
        for (Question question : anything) {
            column(question.ask(), 1);
        }
        data.getSQLKeywords();
        equal(32, data.getMaxColumnsInIndex());
        equal(63, data.getMaxColumnNameLength());
    }

    static List<String> column(ResultSet rows, String name) throws SQLException {
        return column(rows, rows.findColumn(name));
    }

    static List<String> column(ResultSet rows, int at) throws SQLException {
        List<String> values = new ArrayList<>();
        try (rows) {
            while (rows.next()) {
                values.add(rows.getString(at));
            }
        }
        return values;
    }

    static void equal(Object expected, Object actual) {
        if (!expected.equals(actual)) {
            throw new AssertionError("expected " + expected + ", got " + actual);
        }
    }

    static String change(int number) {
        return "{\"$schema\":\"/mediawiki/recentchange/1.0.0\",\"meta\":{\"id\":\"jdbc-" + number
            + "\",\"dt\":\"2026-08-04T15:24:29.724Z\"},\"type\":\"edit\",\"bot\":true,\"user\":\"Java\",\"title\":\"Title " + number
            + "\",\"length\":{\"new\":" + number + "},\"wiki\":\"testwiki\"}";
    }
}
