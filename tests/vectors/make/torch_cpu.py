"""Vectors from PyTorch's CPU generator: torch.randint after torch.manual_seed."""

import torch

# From 2^28 on PyTorch takes two words a number.
MODULI = [6, 1000, 1024, 10**8 + 7, 2**28 - 1]
SEEDS = [0, 1, 42, 12345, 2**31, 2**32 - 1]

print(
    "source", "torch.randint", f"PyTorch {torch.__version__}, torch.manual_seed, torch.randint, default dtype", sep="\t"
)
for n in MODULI:
    for seed in SEEDS:
        torch.manual_seed(seed)
        draws = torch.randint(0, n, (64,)).tolist()
        torch.manual_seed(seed)
        assert draws == [int(torch.randint(0, n, ())) for _ in range(64)]
        print("case", "torch.randint", seed, n, "-", " ".join(map(str, draws)), sep="\t")
