import java.nio.file.Path;
import org.neo4j.configuration.GraphDatabaseSettings;
import org.neo4j.configuration.connectors.BoltConnector;
import org.neo4j.configuration.helpers.SocketAddress;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;

/**
 * Infrahub's database for the live tests: Neo4j Community inside this JVM, Bolt on loopback, no login.
 *
 * Neo4j's own server distribution comes from no package index; its library does. Run by `java Neo4j.java FOLDER PORT`
 * with the jars of pom.xml on the class path; ends, with a checkpoint, on SIGTERM.
 */
public class Neo4j {
    /** The whole test store fits; the default would be half of the machine. */
    private static final long PAGE_CACHE_BYTES = 256L << 20;

    public static void main(String[] arguments) throws InterruptedException {
        var folder = Path.of(arguments[0]);
        var address = new SocketAddress("127.0.0.1", Integer.parseInt(arguments[1]));
        var database = new DatabaseManagementServiceBuilder(folder)
                .setConfig(GraphDatabaseSettings.auth_enabled, false)
                .setConfig(GraphDatabaseSettings.pagecache_memory, PAGE_CACHE_BYTES)
                // Of what was written it would keep 2 GB: nobody restores from that here.
                .setConfig(GraphDatabaseSettings.keep_logical_logs, "100M size")
                .setConfig(BoltConnector.enabled, true)
                .setConfig(BoltConnector.listen_address, address)
                .build();
        Runtime.getRuntime().addShutdownHook(new Thread(database::shutdown));
        Thread.currentThread().join();
    }
}
