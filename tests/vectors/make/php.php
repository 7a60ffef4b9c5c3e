<?php
// Vectors from PHP: mt_srand and mt_rand(min, max) as they are since 7.1, and the xoshiro256** engine of 8.2.
const SEEDS32 = [0, 1, 42, 12345, 1 << 31, (1 << 32) - 1];
const SEEDS64 = [...SEEDS32, (1 << 32) + 1, "16045690984503098046", "18446744073709551615"];

function line(array $fields): void
{
    echo implode("\t", $fields), "\n";
}

line(["source", "php71.mt_rand", "PHP " . PHP_VERSION . ", mt_srand and mt_rand"]);
foreach ([1000, 1024, 10, 6, (1 << 31) - 1, (1 << 31) + 1] as $n) {
    foreach (SEEDS32 as $seed) {
        mt_srand($seed);
        $out = [];
        for ($i = 0; $i < 64; $i++) {
            $out[] = mt_rand(0, $n - 1);
        }
        line(["case", "php71.mt_rand", $seed, $n, "-", implode(" ", $out)]);
    }
}

// rand() is mt_rand() since 7.1, but takes its bounds in either order.
line(["source", "php71.rand", "PHP " . PHP_VERSION . ", srand and rand, bounds in either order"]);
foreach ([1000, 1024, 10, 6, 1 << 31, (1 << 31) + 1, (1 << 32) - 1, 1 << 32] as $n) {
    foreach (SEEDS32 as $seed) {
        $runs = [];
        foreach ([[0, $n - 1], [$n - 1, 0]] as [$a, $b]) {
            srand($seed);
            $runs[] = array_map(fn() => rand($a, $b), range(1, 64));
        }
        if ($runs[0] !== $runs[1]) {
            throw new Exception("rand swapped");
        }
        line(["case", "php71.rand", $seed, $n, "-", implode(" ", $runs[0])]);
    }
}

// MT_RAND_PHP is the generator of 5.2.1 to 7.0, with its reload and its scaling.
$since = ["php71" => MT_RAND_MT19937, "php52" => MT_RAND_PHP];
foreach ($since as $name => $mode) {
    $called = "mt_srand" . ($mode === MT_RAND_PHP ? " with MT_RAND_PHP" : "");
    line(["source", "$name.mt_rand_mod", "PHP " . PHP_VERSION . ", $called and mt_rand()"]);
    foreach ([1000, 1024, 10, 3 << 29, (1 << 31) - 1, 1 << 31] as $n) {
        foreach (SEEDS32 as $seed) {
            mt_srand($seed, $mode);
            line(["case", "$name.mt_rand_mod", $seed, $n, "-", implode(" ", array_map(fn() => mt_rand() % $n, range(1, 64)))]);
        }
    }
}
line(["source", "php52.mt_rand", "PHP " . PHP_VERSION . ", mt_srand with MT_RAND_PHP and mt_rand(min, max)"]);
foreach ([1000, 1024, 10, 6, 3 << 29, (1 << 31) - 1, 1 << 31] as $n) {
    foreach (SEEDS32 as $seed) {
        mt_srand($seed, MT_RAND_PHP);
        line(["case", "php52.mt_rand", $seed, $n, "-", implode(" ", array_map(fn() => mt_rand(0, $n - 1), range(1, 64)))]);
    }
}
line(["source", "mt19937php", "PHP " . PHP_VERSION . ", Random\\Engine\\Mt19937 with MT_RAND_PHP"]);
foreach (SEEDS32 as $seed) {
    $engine = new Random\Engine\Mt19937($seed, MT_RAND_PHP);
    $words = [];
    for ($i = 1; $i <= 10000; $i++) {
        $words[] = unpack("V", $engine->generate())[1];
    }
    line(["case", "mt19937php", $seed, "-", $words[9999], implode(" ", array_slice($words, 0, 16))]);
}

line(["source", "xoshiro256ss", "PHP " . PHP_VERSION . ", Random\\Engine\\Xoshiro256StarStar"]);
$signed = ["16045690984503098046" => -2401053089206453570, "18446744073709551615" => -1];
foreach (SEEDS64 as $seed) {
    // An integer seed is spread over the state by four splitmix64 outputs, in php-src itself.
    $engine = new Random\Engine\Xoshiro256StarStar($signed[$seed] ?? $seed);
    $out = [];
    for ($i = 1; $i <= 10000; $i++) {
        $word = sprintf("%u", unpack("P", $engine->generate())[1]);
        if ($i <= 16) {
            $out[] = $word;
        }
    }
    line(["case", "xoshiro256ss", $seed, "-", $word, implode(" ", $out)]);
}
