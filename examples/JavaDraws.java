import java.time.LocalDate;
import java.util.Random;

/** Makes java_nextint.json: java JavaDraws.java > java_nextint.json (JDK 17). Three calls go by before each draw. */
public class JavaDraws {
    public static void main(String[] args) {
        Random random = new Random(195936478L);
        LocalDate date = LocalDate.of(2024, 1, 1);
        System.out.println("[");
        for (int i = 0; i < 90; i++) {
            for (int skipped = 0; skipped < 3; skipped++) random.nextInt(1000);
            System.out.printf("{\"date\": \"%s\", \"session\": \"midday\", \"draw\": %d}%s%n", date.plusDays(i), random.nextInt(1000), i < 89 ? "," : "");
        }
        System.out.println("]");
    }
}
