import java.util.Random;

/** A long draw history of java.util.Random, three calls before each draw: java History.java > ../histories/java.nextInt.json */
public class History {
    static final long SEED = 3141593;
    static final int DRAWS = 5000, SKIP = 3, MODULUS = 1000;

    public static void main(String[] args) {
        Random random = new Random(SEED);
        String vm = System.getProperty("java.runtime.name") + " " + System.getProperty("java.runtime.version");
        System.out.printf("{\"source\": \"%s, java.util.Random.nextInt(int)\", \"made_by\": [\"make/History.java\"],%n", vm);
        System.out.printf(" \"seed\": %d, \"skip\": %d, \"modulus\": %d, \"draws\": [", SEED, SKIP, MODULUS);
        for (int i = 0; i < DRAWS; i++) {
            for (int skipped = 0; skipped < SKIP; skipped++) random.nextInt(MODULUS);
            System.out.printf("%s%d", i == 0 ? "\n" : i % 25 == 0 ? ",\n" : ", ", random.nextInt(MODULUS));
        }
        System.out.printf("%n]}%n");
    }
}
