// Vectors from the C++ standard library's engines.
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

using U64 = std::uint64_t;

static const std::vector<U64> seeds32 = {0, 1, 42, 12345, U64{1} << 31, 0xFFFFFFFFu};
static const std::vector<U64> seeds64 = {0, 1, 42, 12345, U64{1} << 31, 0xFFFFFFFFu, (U64{1} << 32) + 1,
                                         0xDEADBEEFCAFEBABEu, ~U64{0}};

template <class Engine> void family(const std::string& name, std::vector<U64> seeds, std::vector<U64> more = {}) {
    std::printf("source\t%s\tlibstdc++ of GCC %s, <random>\n", name.c_str(), __VERSION__);
    seeds.insert(seeds.end(), more.begin(), more.end());
    for (U64 seed : seeds) {
        Engine engine(static_cast<typename Engine::result_type>(seed));
        std::string line;
        U64 v = 0;
        for (int i = 1; i <= 10000; i++) {
            v = engine();
            if (i <= 16) line += (i == 1 ? "" : " ") + std::to_string(v);
        }
        std::printf("case\t%s\t%llu\t-\t%llu\t%s\n", name.c_str(), static_cast<unsigned long long>(seed),
                    static_cast<unsigned long long>(v), line.c_str());
    }
}

// The engine's bounded draws: what it gives for the seed and the modulus.
template <class Engine, class Draw>
void recipe(const std::string& name, const std::string& what, const std::vector<U64>& seeds,
            const std::vector<U64>& moduli, Draw draw) {
    std::printf("source\t%s\tlibstdc++ of GCC %s, %s\n", name.c_str(), __VERSION__, what.c_str());
    for (U64 n : moduli)
        for (U64 seed : seeds) {
            Engine engine(static_cast<typename Engine::result_type>(seed));
            std::string line;
            for (int i = 0; i < 64; i++) line += (i ? " " : "") + std::to_string(draw(engine, n));
            std::printf("case\t%s\t%llu\t%llu\t-\t%s\n", name.c_str(), static_cast<unsigned long long>(seed),
                        static_cast<unsigned long long>(n), line.c_str());
        }
}

template <class Engine> U64 uniform_int(Engine& engine, U64 n) {
    return static_cast<U64>(std::uniform_int_distribution<int>(0, static_cast<int>(n - 1))(engine));
}

static U64 uniform_real(std::mt19937& engine, U64 n) {
    const double real = std::uniform_real_distribution<double>(0, static_cast<double>(n))(engine);
    return static_cast<U64>(real);
}

int main() {
    family<std::minstd_rand>("minstd", seeds32, {0x7FFFFFFE, 0x7FFFFFFF});
    family<std::minstd_rand0>("minstd0", seeds32, {0x7FFFFFFE, 0x7FFFFFFF});
    family<std::mt19937>("mt19937", seeds32, {5489});
    family<std::mt19937_64>("mt19937_64", seeds64, {5489});
    // A modulus of 0 stands for 2^32 or 2^64, the range of the result type.
    family<std::linear_congruential_engine<std::uint32_t, 1664525, 1013904223, 0>>(
        "lcg:1664525,1013904223,32", seeds32);
    family<std::linear_congruential_engine<U64, 25214903917, 11, U64{1} << 48>>(
        "lcg:25214903917,11,48", {0, 1, 42, 12345, U64{1} << 31, 0xFFFFFFFFu, (U64{1} << 48) - 1});
    family<std::linear_congruential_engine<U64, 6364136223846793005u, 1442695040888963407u, 0>>(
        "lcg:6364136223846793005,1442695040888963407,64", seeds64);
    // Beside what people use: moduli at which a third (of 2^32) or a half (of 2^31) of the words are rejected.
    const std::vector<U64> moduli = {6, 1000, 1024, (1u << 30) + 1, 0x7FFFFFFD, 0x7FFFFFFE};
    recipe<std::mt19937>("libstdcxx.mt19937.uniform_int", "uniform_int_distribution<int>", seeds32,
                         {6, 1000, 1024, 1431655766, 0x7FFFFFFF, 0x80000000}, uniform_int<std::mt19937>);
    recipe<std::mt19937>("libstdcxx.mt19937.uniform_real", "uniform_real_distribution<double>", seeds32,
                         {6, 1000, 1024, 4194319, 0x7FFFFFFF}, uniform_real);
    recipe<std::mt19937_64>("libstdcxx.mt19937_64.uniform_int", "uniform_int_distribution<int>", seeds64,
                            {6, 1000, 1024, 1431655766, 0x7FFFFFFF, 0x80000000}, uniform_int<std::mt19937_64>);
    recipe<std::default_random_engine>("libstdcxx.default_random_engine.uniform_int", "uniform_int_distribution<int>",
                                       {0, 1, 42, 12345, 0x7FFFFFFE, 0x7FFFFFFF, 0xFFFFFFFF}, moduli,
                                       uniform_int<std::default_random_engine>);
}
