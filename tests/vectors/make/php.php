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
