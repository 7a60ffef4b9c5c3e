# Vectors from Perl: srand and rand, which since 5.20 is Perl's own drand48 everywhere.
use strict;
use warnings;

my @seeds = (0, 1, 42, 12345, 2147483648, 4294967295);
print "source\tperl.rand\tPerl ", sprintf("%vd", $^V), ", srand and rand\n";
for my $n (6, 1000, 1024, 4194319, 2147483648, 4294967295) {
    for my $seed (@seeds) {
        srand($seed);
        print join("\t", "case", "perl.rand", $seed, $n, "-", join(" ", map { int(rand($n)) } 1 .. 64)), "\n";
    }
}
