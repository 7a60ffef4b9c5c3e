// Vectors from .NET's seeded System.Random. Usage: mono Dotnet.exe RUNTIME, or dotnet exec ... Dotnet.exe RUNTIME
using System;
using System.Linq;

static class Dotnet
{
    static readonly int[] Seeds = { 0, 1, 42, 12345, 161803398, 1 << 30, int.MaxValue - 1, int.MaxValue };

    static void Main(string[] args)
    {
        Console.WriteLine($"source\tdotnet\t{args[0]}, new System.Random(seed).Next()");
        Console.WriteLine($"source\tdotnet.Next\t{args[0]}, new System.Random(seed).Next(n); (int)(NextDouble() * n) agrees");
        foreach (int seed in Seeds)
        {
            var random = new Random(seed);
            // A negative seed is its absolute value, and the least one the largest.
            var negative = new Random(seed == int.MaxValue ? int.MinValue : -seed);
            int[] words = Enumerable.Range(0, 10000).Select(i => random.Next()).ToArray();
            if (!words.All(word => word == negative.Next())) throw new Exception("negative seed");
            Console.WriteLine($"case\tdotnet\t{seed}\t-\t{words[9999]}\t{string.Join(" ", words.Take(16))}");
            foreach (int n in new[] { 1000, 1024, 10, 6, (1 << 30) + 1, int.MaxValue })
            {
                Random next = new Random(seed), unit = new Random(seed);
                int[] draws = Enumerable.Range(0, 64).Select(i => next.Next(n)).ToArray();
                if (!draws.All(draw => draw == (int)(unit.NextDouble() * n))) throw new Exception("NextDouble");
                Console.WriteLine($"case\tdotnet.Next\t{seed}\t{n}\t-\t{string.Join(" ", draws)}");
            }
        }
    }
}
