import java.lang.reflect.Method;
import java.util.PrimitiveIterator;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.LongSupplier;
import java.util.function.LongFunction;
import jdk.random.Xoshiro256PlusPlus;

/** Vectors from the JDK's own generators; run it as make_all.sh does (it opens two JDK packages). */
public class Jdk {
    static final long[] SEEDS32 = {0, 1, 42, 12345, 1L << 31, (1L << 32) - 1};
    static final long[] SEEDS48 = {
        0, 1, 42, 12345, 1L << 31, (1L << 32) - 1, (1L << 32) + 1, 0xDEADBEEFCAFEL, (1L << 48) - 1};
    static final long[] SEEDS64 = {
        0, 1, 42, 12345, 1234567, 1L << 31, (1L << 32) - 1, (1L << 32) + 1, 0xDEADBEEFCAFEBABEL, -1L};

    static void family(String name, long seed, boolean wide, LongSupplier next) {
        StringBuilder line = new StringBuilder();
        String nth = "";
        for (int i = 1; i <= 10000; i++) {
            long v = next.getAsLong();
            String text = wide ? Long.toUnsignedString(v) : Long.toString(v & 0xFFFFFFFFL);
            if (i <= 16) line.append(i == 1 ? "" : " ").append(text);
            nth = text;
        }
        System.out.println("case\t" + name + "\t" + Long.toUnsignedString(seed) + "\t-\t" + nth + "\t" + line);
    }

    static void recipe(String name, int n, LongFunction<LongSupplier> make) {
        for (long seed : SEEDS48) {
            LongSupplier next = make.apply(seed);
            StringBuilder line = new StringBuilder();
            for (int i = 0; i < 64; i++) line.append(i == 0 ? "" : " ").append(next.getAsLong());
            System.out.println("case\t" + name + "\t" + seed + "\t" + n + "\t-\t" + line);
        }
    }

    public static void main(String[] args) throws Exception {
        String vm = System.getProperty("java.runtime.name") + " " + System.getProperty("java.runtime.version");
        String[][] sources = {
            {"xorshift32", "java.util.concurrent.ThreadLocalRandom.advanceProbe"},
            {"java", "java.util.Random.nextInt()"},
            {"splitmix64", "java.util.SplittableRandom.nextLong()"},
            {"xoshiro256pp", "jdk.random.Xoshiro256PlusPlus, state from java.util.SplittableRandom"},
            {"orig.xoshiro256pp", "jdk.random.Xoshiro256PlusPlus from the described state"},
            {"java.nextInt", "java.util.Random.nextInt(int)"},
            {"java17.nextIntRange", "java.util.Random.nextInt(int, int); ints(long, int, int) agrees"},
            {"java.nextFloat", "java.util.Random.nextFloat()"},
            {"java.nextDouble", "java.util.Random.nextDouble()"}};
        for (String[] s : sources) System.out.println("source\t" + s[0] + "\t" + vm + ", " + s[1]);

        // The probe of ThreadLocalRandom is advanced by Marsaglia's xorshift 13, 17, 5.
        Method probe = ThreadLocalRandom.class.getDeclaredMethod("advanceProbe", int.class);
        probe.setAccessible(true);
        for (long seed : new long[] {1, 42, 12345, 1L << 31, 2463534242L, (1L << 32) - 1}) {
            int[] x = {(int) seed};
            family("xorshift32", seed, false, () -> {
                try {
                    x[0] = (int) probe.invoke(null, x[0]);
                } catch (ReflectiveOperationException e) {
                    throw new IllegalStateException(e);
                }
                return x[0];
            });
        }
        for (long seed : SEEDS48) {
            Random r = new Random(seed);
            family("java", seed, false, r::nextInt);
        }
        for (long seed : SEEDS64) {
            family("splitmix64", seed, true, new SplittableRandom(seed)::nextLong);
            SplittableRandom s = new SplittableRandom(seed);
            Xoshiro256PlusPlus x =
                new Xoshiro256PlusPlus(s.nextLong(), s.nextLong(), s.nextLong(), s.nextLong());
            family("xoshiro256pp", seed, true, x::nextLong);
        }
        for (long seed : SEEDS64) {
            Xoshiro256PlusPlus x =
                new Xoshiro256PlusPlus(seed, 0x9E3779B97F4A7C15L, 0x6A09E667F3BCC908L, 0xBB67AE8584CAA73BL);
            family("orig.xoshiro256pp", seed, true, x::nextLong);
        }
        Xoshiro256PlusPlus known = new Xoshiro256PlusPlus(1, 2, 3, 4);
        if (known.nextLong() != 41943041L || known.nextLong() != 58720359L) throw new IllegalStateException("xoshiro");

        for (int n : new int[] {1000, 1024, 10, 6, (1 << 30) + 1, Integer.MAX_VALUE}) {
            recipe("java.nextInt", n, seed -> {
                Random r = new Random(seed);
                return () -> r.nextInt(n);
            });
        }
        for (int n : new int[] {1000, 1024, 10, 6, 1 << 30, (1 << 30) + 1, Integer.MAX_VALUE}) {
            recipe("java17.nextIntRange", n, seed -> {
                Random r = new Random(seed);
                PrimitiveIterator.OfInt ints = new Random(seed).ints(64, 0, n).iterator();
                return () -> {
                    int value = r.nextInt(-1, n - 1) + 1;
                    if (value != ints.nextInt()) throw new IllegalStateException("ints");
                    return value;
                };
            });
        }
        for (int n : new int[] {1000, 1024, 37, 1_000_003, 1 << 24}) {
            recipe("java.nextFloat", n, seed -> {
                Random r = new Random(seed);
                return () -> (int) (r.nextFloat() * n);
            });
        }
        for (int n : new int[] {1000, 1024, 37}) {
            recipe("java.nextDouble", n, seed -> {
                Random r = new Random(seed);
                return () -> (int) (r.nextDouble() * n);
            });
        }
    }
}
