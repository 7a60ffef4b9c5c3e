/* Outputs of one seed at any distance: a state is led to where the outputs begin, forward or back, then makes them.

   Outputs are those that the call gives its caller, so a raw value that is rejected counts nowhere. Output 0 is the first
   after seeding, output -1 the last before it: raw value -1 is made of the words -WORDS .. -1, and undoing it meets its
   words last to first. Host only. */

/* A state that is rejected this often in a row never gives an output (chance: at most 2^-4096 for an honest one). */
#define HOPELESS 4096

u64 state_bytes(void) { return sizeof(state); }

void begin(state *g, u64 z, const u64 *param) { SEEDING(g, (wseed)z, param); }

/* Step over `count` outputs; back: those before the state, nearest first. The number stepped over, less than count where
   a state is rejected for ever. */
u64 walk(state *g, u64 count, u32 back, const search *q) {
    u32 value, in_vain = 0;
    u64 n = 0;
    while (n < count && in_vain < HOPELESS) {
        if (MAPPING(back ? take_back(g) : take(g), &value, q)) {
            n++;
            in_vain = 0;
        } else
            in_vain++;
    }
    return n;
}

/* The next outputs: how many of `count`. */
u64 make(state *g, u64 count, const search *q, u32 *out) {
    for (u64 i = 0; i < count; i++) {
        u32 in_vain = 0;
        while (!MAPPING(take(g), &out[i], q))
            if (++in_vain == HOPELESS) return i;
    }
    return count;
}

#if defined(HAS_JUMP) && !defined(REJECTS)
/* Step over `count` outputs at once, if that can be. A jump over 2^64 - n words undoes n where 2^64 steps are none, which
   is seen: one step back must show the word before, and forward again the words that were to come. */
u32 jump_over(state *g, u64 count, u32 back, const u64 *param) {
    u64 words = count * WORDS;
    if (!back) {
        leap(g, jump_by(words, param));
        return 1;
    }
    state there = *g, again, before = *g, one = *g;
    leap(&there, jump_by(-words, param));
    again = there;
    leap(&again, jump_by(words, param));
    leap(&one, jump_by(-1ull, param));
    u32 same = next(&one) == prev(&before);
    state here = *g;
    for (u32 i = 0; i < 8; i++) same &= next(&again) == next(&here);
    if (same) *g = there;
    return same;
}
#endif
