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

int main() {
    family<std::minstd_rand>("minstd", seeds32, {0x7FFFFFFE, 0x7FFFFFFF});
    family<std::minstd_rand0>("minstd0", seeds32, {0x7FFFFFFE, 0x7FFFFFFF});
    family<std::mt19937>("mt19937", seeds32, {5489});
    // A modulus of 0 stands for 2^32 or 2^64, the range of the result type.
    family<std::linear_congruential_engine<std::uint32_t, 1664525, 1013904223, 0>>(
        "lcg:1664525,1013904223,32", seeds32);
    family<std::linear_congruential_engine<U64, 25214903917, 11, U64{1} << 48>>(
        "lcg:25214903917,11,48", {0, 1, 42, 12345, U64{1} << 31, 0xFFFFFFFFu, (U64{1} << 48) - 1});
    family<std::linear_congruential_engine<U64, 6364136223846793005u, 1442695040888963407u, 0>>(
        "lcg:6364136223846793005,1442695040888963407,64", seeds64);
}
