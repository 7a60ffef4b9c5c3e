/* The forward sieve, constant skip. A seed is held against the window under every (skip s, offset o):

       draw i  =  output  o + s + i (s + 1),      i = 0 .. draws - 1, outputs counted from 0

   A hypothesis ends as soon as no lane can still reach `need`. A seed's best hypothesis is the one with most matches;
   ties go to the smallest skip, then offset, because later ones must be strictly better. */

typedef struct { u64 seed; u32 skip, offset, window_start, matches; } hit;

#ifdef GRID
#define SLOT(i) buffer[(u64)(i) * slots + slot]
#define CELL(i, lane) SLOT(i)
#define BUFFER u32 *buffer, u64 slots, u64 slot
#define PASS_BUFFER buffer, slots, slot
#else
#define SLOT(i) ((w32 *)buffer)[i]
#define CELL(i, lane) buffer[(u64)(i) * LANES + (lane)]
#define BUFFER u32 *buffer
#define PASS_BUFFER buffer
#endif

#ifndef HAS_JUMP
typedef struct { u64 a, c; } jump;
#elif !defined(REJECTS)
#define JUMPS 1
#endif

/* ------------------------------------------------------------------ outputs made once, in order, for all hypotheses */

/* Outputs lie in `room` slots from slot `base` on; a stream with `back` set makes those before the seeded state, the
   latest first. */
typedef struct {
    state g;
    u32 have, base, room, back;
#if defined(REJECTS) && LANES > 1
    u32 apart, count[LANES];
#endif
} stream;

/* seeded: the state of seeds z, or NULL where it is still to be made. */
FN void begin(stream *t, wseed z, const state *seeded, const search *q) {
#ifdef TEAM
    if (seeded)
        t->g = *seeded;
    else
#endif
        SEEDING(&t->g, z, q->param);
    t->have = 0;
    t->base = 0;
    t->room = (u32)q->positions;
    t->back = 0;
#if defined(REJECTS) && LANES > 1
    t->apart = 0;
#endif
}

FN raw draw_raw(stream *t) {
#ifdef BOTH_WAYS
    if (t->back) return take_back(&t->g);
#endif
    return take(&t->g);
}

/* A state that is rejected this often in a row never gives an output (chance: at most 2^-4096 for an honest one). */
#define HOPELESS 4096

/* Make outputs until slot `upto` holds one. Lanes that have rejected differently get apart, each with its own count;
   a slot is ready when every lane has filled it. */
FN void fill(stream *t, u32 upto, const search *q, BUFFER) {
#ifdef REJECTS
    u32 in_vain = 0;
#endif
    while (t->have <= upto) {
        w32 value;
#ifndef REJECTS
        MAPPING(draw_raw(t), &value, q);
        SLOT(t->base + t->have) = value;
        t->have++;
#else
        w32 accepted = MAPPING(draw_raw(t), &value, q);
        if (in_vain++ > HOPELESS) {
            value = all32(~0u);
            accepted = all32(~0u);
        }
#if LANES == 1
        SLOT(t->base + t->have) = value;
        if (accepted) {
            t->have++;
            in_vain = 0;
        }
#else
        if (!t->apart && !any(~accepted)) {
            SLOT(t->base + t->have) = value;
            t->have++;
            in_vain = 0;
            continue;
        }
        if (!t->apart) {
            t->apart = 1;
            for (u32 i = 0; i < LANES; i++) t->count[i] = t->have;
        }
        u32 least_count = ~0u;
        for (u32 i = 0; i < LANES; i++) {
            u32 at = t->count[i];
            if (at < t->room) {
                CELL(t->base + at, i) = value[i];
                at += accepted[i] & 1;
                t->count[i] = at;
            }
            least_count = at < least_count ? at : least_count;
        }
        if (least_count > t->have) in_vain = 0;
        t->have = least_count;
#endif
#endif
    }
}

/* ---------------------------------------------------------------------------------------------------- one block of seeds */

typedef struct { w32 matches, skip, offset; } best;

FN void judge(best *b, w32 matches, u32 skip, u32 offset) {
    w32 better = above(matches, b->matches);
    if (!any(better)) return;
    b->matches = pick(better, matches, b->matches);
    b->skip = pick(better, all32(skip), b->skip);
    b->offset = pick(better, all32(offset), b->offset);
}

/* True when, after i draws, no lane can still reach need with those that are left. */
FN u32 hopeless(w32 matches, u32 i, u32 draws, u32 need) {
    u32 left = draws - i;
    return left < need && !any(above(matches, all32(need - left - 1)));
}

#ifdef JUMPS
/* Each hypothesis runs along its own outputs: jump to the first, then over s outputs between draws. jumps: first those
   over s = skip_min .. skip_max outputs, then those to o + s = first, first + 1, ... */
FN void sieve_stride(best *b, const state *g0, const search *q, const u32 *draws, const jump *jumps) {
    u32 k = (u32)q->draws, need = (u32)q->need;
    const jump *to = jumps + (q->skip_max - q->skip_min + 1);
    for (u32 s = (u32)q->skip_min; s <= (u32)q->skip_max; s++)
        for (u32 o = (u32)q->offset_min; o <= (u32)q->offset_max; o++) {
            state g = *g0;
            jump over = jumps[s - q->skip_min];
            leap(&g, to[o + s - q->first]);
            w32 matches = all32(0), value;
            u32 i = 0;
            for (;;) {
                MAPPING(take(&g), &value, q);
                matches -= equal(value, all32(draws[i]));
                i++;
                if (i == k || hopeless(matches, i, k, need)) break;
                if (s) leap(&g, over);
            }
            if (i == k) judge(b, matches, s, o);
        }
}
#endif

FN void sieve_stream(best *b, stream *t, const search *q, const u32 *draws, BUFFER) {
    u32 k = (u32)q->draws, need = (u32)q->need;
    for (u32 s = (u32)q->skip_min; s <= (u32)q->skip_max; s++)
        for (u32 o = (u32)q->offset_min; o <= (u32)q->offset_max; o++) {
            u32 p = o + s - (u32)q->first, i = 0;
            w32 matches = all32(0);
            for (;;) {
                if (p >= t->have) fill(t, p, q, PASS_BUFFER);
                matches -= equal(SLOT(p), all32(draws[i]));
                i++;
                if (i == k || hopeless(matches, i, k, need)) break;
                p += s + 1;
            }
            if (i == k) judge(b, matches, s, o);
        }
}

/* What a survivor has at least. */
FN u32 least_matches(const search *q) { return (u32)(q->need + q->need_behind); }

#ifdef BOTH_WAYS
#include "sides.h"
#endif
#if defined(HYBRID)
#include "hybrid.h"
#elif defined(LOOKS)
#include "looks.h"
#else
FN best sieve_block(wseed z, const state *seeded, const search *q, const u32 *draws, const jump *jumps, BUFFER) {
    best b = {all32((u32)q->need - 1), all32(0), all32(0)};
    stream t;
    begin(&t, z, seeded, q);
#ifdef JUMPS
    if (q->stride) {
        sieve_stride(&b, &t.g, q, draws, jumps);
        return b;
    }
    leap(&t.g, jumps[q->skip_max - q->skip_min + 1]);
#endif
    sieve_stream(&b, &t, q, draws, PASS_BUFFER);
    return b;
}
#endif

/* Outputs `first` .. `first` + count - 1 of a block of seeds, left in the slots from the returned one on. `first` may be
   negative where the program goes both ways. */
FN u32 outputs_block(wseed z, const search *q, const jump *jumps, i64 first, u64 count, BUFFER) {
#ifdef BOTH_WAYS
    u32 from = (u32)(q->positions + q->positions_behind);
    streams both;
    begin_both(&both, z, 0, q);
    for (u64 j = 0; j < count; j++) {
        w32 value = output_at(&both, first + (i64)j, q, PASS_BUFFER);
        SLOT(from + j) = value;
    }
    return from;
#endif
    stream t;
    begin(&t, z, 0, q);
#ifdef JUMPS
    leap(&t.g, jumps[0]);
    first = 0;
#endif
    fill(&t, (u32)(first + count - 1), q, PASS_BUFFER);
    return (u32)first;
}

/* --------------------------------------------------------------------------------------------------------------- entries */

#ifdef GRID

#ifdef EMULATE
/* The grid of a GPU as two loops, so that this text is tested where there is none. */
#define KERNEL static void
static struct { u32 x; } blockIdx, blockDim, threadIdx, gridDim;
static u64 atomicAdd(u64 *at, u64 n) { u64 old = *at; *at += n; return old; }
#endif

/* Seeds start .. start + count - 1, a thread every gridDim.x * blockDim.x. `found` counts every survivor; those past
   `capacity` are not written, and the host sees that by the count. */
KERNEL sieve_grid(const search *RESTRICT q, const u32 *RESTRICT draws, const jump *RESTRICT jumps, u64 start, u64 count,
                  hit *hits, u64 capacity, u64 *found, u32 *RESTRICT buffer) {
    u64 slot = (u64)blockIdx.x * blockDim.x + threadIdx.x, slots = (u64)gridDim.x * blockDim.x;
    for (u64 n = slot; n < count; n += slots) {
        best b = sieve_block(seeds_at(start + n, q), 0, q, draws, jumps, PASS_BUFFER);
        if (b.matches < least_matches(q)) continue;
        u64 at = atomicAdd(found, 1);
        if (at < capacity) {
            hit h = {start + n, b.skip, b.offset, (u32)q->window_start, b.matches};
            hits[at] = h;
        }
    }
}

/* out[i * count + j] = output first + j of seeds[i] */
KERNEL outputs_grid(const search *RESTRICT q, const jump *RESTRICT jumps, const u64 *seeds, u64 n, i64 first, u64 count,
                    u32 *out, u32 *RESTRICT buffer) {
    u64 slot = (u64)blockIdx.x * blockDim.x + threadIdx.x, slots = (u64)gridDim.x * blockDim.x;
    for (u64 i = slot; i < n; i += slots) {
        u32 from = outputs_block((wseed)seeds[i], q, jumps, first, count, PASS_BUFFER);
        for (u64 j = 0; j < count; j++) out[i * count + j] = SLOT(from + j);
    }
}

#ifdef EMULATE
void sieve_emulated(u32 blocks, u32 threads, const search *q, const u32 *draws, const jump *jumps, u64 start, u64 count,
                    hit *hits, u64 capacity, u64 *found, u32 *buffer) {
    gridDim.x = blocks;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++)
            sieve_grid(q, draws, jumps, start, count, hits, capacity, found, buffer);
}

void outputs_emulated(u32 blocks, u32 threads, const search *q, const jump *jumps, const u64 *seeds, u64 n, i64 first,
                      u64 count, u32 *out, u32 *buffer) {
    gridDim.x = blocks;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++)
            outputs_grid(q, jumps, seeds, n, first, count, out, buffer);
}
#endif

#else

/* -------------------------------------------------------------------------------------- a glance at a group of blocks */

/* Nearly every seed fails early, so a group of blocks is first looked at as a whole: several blocks hide the latency of
   one another's instructions, one branch serves all, and a hint takes the place of the division. The glance may call a
   group promising that is not, never the other way round; `sieve_block` then has the last word. */
#ifndef GROUP
#define GROUP (LANE_BITS == 32 ? 8 : 4)
#endif
/* Blocks of a group that is not seeded briefly. */
#ifdef TEAM
#define AT_ONCE TEAM
#else
#define AT_ONCE GROUP
#endif
/* `size` is how many blocks a function has; where it is inlined that is a constant. */
#define ALL _Pragma("GCC unroll 32") for (u32 b = 0; b < size; b++)

u32 lanes(void) { return LANES; }

#ifdef TEAM
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
FN void seed_team(state *team, u64 start, const search *q) {
    wseed z[TEAM];
    EACH z[b] = seeds_at(start + b * LANES, q);
    PASTE(team_, SEEDING)(team, z);
}
#endif

/* The greatest strain so far of a call's word. */
#ifdef STRAIN
#define STRAINED(x) strain = most(strain, STRAIN(x, q))
#define REFUSED above(strain, all32((u32)q->limit))
#else
#define STRAINED(x) (void)(x)
#define REFUSED all32(0)
#endif

#if LANES > 1 && defined(HINT)
/* 32-bit words of buffer that a group takes for its first `reach` outputs, or for what those are made of. */
u32 group_words(u64 reach) {
#ifdef BRIEF
    if (WORDS * reach < BRIEF) return (2 * WORDS * reach + 1) * GROUP * LANES;
#endif
    return reach * AT_ONCE * sizeof(word) / 4;
}

/* Whether some seed has more than n hopes, or has refused. */
FN u32 any_above(u32 size, const w32 *hopes, u32 n, w32 refused) {
    w32 highest = hopes[0];
    ALL highest = most(highest, hopes[b]);
    return any(above(highest, all32(n)) | refused);
}

#define EVERY_BLOCK ((1u << size) - 1)

/* What a glance sees of an output: its word, of two words the one with the high bits. */
#if WORDS == 1
#define LEADING 0
typedef raw seen;
FN seen look(state *g) { return take(g); }
#else
#ifdef LOW_WORD_FIRST
#define LEADING 1
#else
#define LEADING 0
#endif
typedef w32 seen;
FN seen look(state *g) {
    w32 a = next(g), b = next(g);
    return LEADING ? b : a;
}
#endif

/* That of output p of block b: from the words of a brief seeding, or what its state makes next. */
#ifdef BRIEF
#define MADE(p) (words ? BRIEF_OUTPUT(words, WORDS * reach, WORDS * (p) + LEADING) : look(&g[b]))
#else
#define MADE(p) look(&g[b])
#endif

/* `promising` for a search of one hypothesis, whose draws begin at output p and which looks at each output once: nothing
   is kept. have: outputs that have been made, or need not be. */
FN u32 glance_once(u32 size, state *g, const w32 *words, const search *q, const u32 *draws, u32 have, u32 p) {
    u32 k = (u32)q->draws, need = (u32)q->need, reach = (u32)q->reach, s = (u32)q->skip_min;
    w32 hopes[GROUP], strain = all32(0);
    ALL hopes[b] = all32(0);
    for (u32 i = 0;;) {
        u32 d = draws[i];
        if (p >= reach) return EVERY_BLOCK;
        for (; have < p; have++) ALL {
            seen x = MADE(have);
            STRAINED(x);
        }
        ALL {
            seen x = MADE(p);
            STRAINED(x);
            hopes[b] = HINT(hopes[b], x, d, q);
        }
        have++;
        u32 left = k - ++i;
        if (left < need && !any_above(size, hopes, need - left - 1, REFUSED)) return 0;
        if (i == k) {
            u32 blocks = 0;
            ALL blocks |= (u32)!!any(above(hopes[b], all32(need - 1)) | REFUSED) << b;
            return blocks;
        }
        p += s + 1;
    }
}

/* Bit i: whether block i of the `size` blocks that begin with seed `start` may hold a survivor. kept: room for outputs.
   words: of a brief seeding, or NULL where states are to be seeded. */
FN u32 promising(u32 size, u64 start, const w32 *words, const search *q, const u32 *draws, const jump *jumps, word *kept) {
    u32 k = (u32)q->draws, need = (u32)q->need, reach = (u32)q->reach;
    state g[AT_ONCE];
    w32 hopes[GROUP], strain = all32(0);
    if (!words) {
#ifdef TEAM
        seed_team(g, start, q);
#else
        ALL SEEDING(&g[b], seeds_at(start + b * LANES, q), q->param);
#endif
    }
#ifdef JUMPS
    if (q->stride) {
        const jump *to = jumps + (q->skip_max - q->skip_min + 1);
        state begun[AT_ONCE];
        ALL begun[b] = g[b];
        for (u32 s = (u32)q->skip_min; s <= (u32)q->skip_max; s++)
            for (u32 o = (u32)q->offset_min; o <= (u32)q->offset_max; o++) {
                jump first = to[o + s - q->first], over = jumps[s - q->skip_min];
                ALL {
                    g[b] = begun[b];
                    hopes[b] = all32(0);
                }
                if (o + s) ALL leap(&g[b], first);
                for (u32 i = 0;;) {
                    u32 d = draws[i];
                    ALL hopes[b] = HINT(hopes[b], look(&g[b]), d, q);
                    u32 left = k - ++i;
                    if (left < need && !any_above(size, hopes, need - left - 1, REFUSED)) break;
                    if (i == k) return EVERY_BLOCK;
                    if (s) ALL leap(&g[b], over);
                }
            }
        return 0;
    }
    ALL leap(&g[b], jumps[q->skip_max - q->skip_min + 1]);
#endif
    u32 have = 0;
    if (q->skip_min == q->skip_max && q->offset_min == q->offset_max) {
        u32 p = (u32)(q->skip_min + q->offset_min - q->first);
        if (!words) return glance_once(size, g, 0, q, draws, 0, p);
        /* A word refused before the window puts the draws one later. To look for the draws there too is less work than to
           look at every word before them. */
        u32 blocks = glance_once(size, g, words, q, draws, q->shifts ? p : 0, p);
        for (u32 n = 1; n <= (u32)q->shifts && blocks != EVERY_BLOCK; n++)
            blocks |= glance_once(size, g, words, q, draws, p + n, p + n);
        return blocks;
    }
    for (u32 s = (u32)q->skip_min; s <= (u32)q->skip_max; s++)
        for (u32 o = (u32)q->offset_min; o <= (u32)q->offset_max; o++) {
            u32 p = o + s - (u32)q->first;
            ALL hopes[b] = all32(0);
            for (u32 i = 0;;) {
                u32 d = draws[i];
                if (p >= reach) return EVERY_BLOCK;
                for (; have <= p; have++) {
                    ALL {
                        seen x = MADE(have);
                        STRAINED(x);
                        kept[have * size + b] = x;
                    }
                }
                ALL hopes[b] = HINT(hopes[b], kept[p * size + b], d, q);
                u32 left = k - ++i;
                if (left < need && !any_above(size, hopes, need - left - 1, REFUSED)) break;
                if (i == k) return EVERY_BLOCK;
                p += s + 1;
            }
        }
    return any(REFUSED) ? EVERY_BLOCK : 0;
}

/* Blocks of a group. */
FN u32 group_size(u32 reach) {
#ifdef BRIEF
    if (WORDS * reach < BRIEF) return GROUP;
#endif
    return AT_ONCE;
}

/* The same for a group. */
FN u32 promising_group(u64 start, const search *q, const u32 *draws, const jump *jumps, word *kept) {
#ifdef BRIEF
    u32 size = GROUP, reach = WORDS * (u32)q->reach;
    if (reach < BRIEF) {
        BRIEF_SEEDING(kept, start, q->shifts ? (u32)(q->skip_min + q->offset_min) : 0, reach);
        /* Outputs take the place of words that no later one needs. */
        return promising(GROUP, start, kept, q, draws, jumps, kept + (reach + 1) * GROUP);
    }
#endif
    return promising(AT_ONCE, start, 0, q, draws, jumps, kept);
}
#endif

#include "square.h"

#if LANES > 1 && defined(HINT)
/* Which blocks of a group need the full sieve: bit i, the i-th from `begin` on. Seeds are counted from `start`. exceptions:
   seeds, ascending, that a glance does not see as they are, and how many there are; passed: how many lie behind. */
typedef struct {
    u64 start, begin, end, size, glanced, promised;
    u32 blocks;
    const u32 *exceptions;
    u64 exceptional, passed;
} view;

/* The blocks of the group from seed `from` on that hold an exception. */
FN u32 exceptional_blocks(view *v, u64 from) {
    u32 blocks = 0;
    while (v->passed < v->exceptional && v->exceptions[v->passed] < from) v->passed++;
    for (; v->passed < v->exceptional && v->exceptions[v->passed] < from + v->size; v->passed++)
        blocks |= 1u << (v->exceptions[v->passed] - from) / LANES;
    return blocks;
}

/* Go on to the first group from `at` on that holds promise, or to the last of `groups`. */
FN void glance(view *v, u64 at, u64 groups, const search *q, const u32 *draws, const jump *jumps, u32 *group_buffer,
               square *sq) {
    u64 passed = 0;
#ifdef SQUARE
    if (sq->slots)
        passed = pass_squares(v->start + at, groups, q, draws, sq, &v->blocks);
    else
#endif
        for (v->blocks = 0; passed < groups; passed++) {
            u64 from = v->start + at + passed * v->size;
            v->blocks = promising_group(from, q, draws, jumps, (word *)group_buffer) | exceptional_blocks(v, from);
            if (v->blocks) break;
        }
    v->begin = at + passed * v->size;
    v->end = v->begin + (v->blocks ? v->size : 0);
    v->glanced += passed + 1;
    v->promised += __builtin_popcount(v->blocks);
}
#endif

/* Seeds start .. start + count - 1. What the glance needs comes last: room for the outputs of a group, squares, and seeds that
   it does not see as they are, ascending. */
void sieve(const search *q, const u32 *draws, const jump *jumps, u64 start, u64 count, hit *hits, u64 capacity,
           u64 *found, u32 *buffer, u32 *group_buffer, square *sq, const u32 *exceptions, u64 exceptional) {
    const search local = *q;
    u64 head = 0;
#if LANES > 1 && defined(HINT)
    view v = {start, .size = local.reach ? group_size((u32)local.reach) * LANES : 0, .exceptions = exceptions, .exceptional = exceptional};
#ifdef SQUARE
    if (sq->slots) {
        /* Squares begin at a multiple of their size. */
        head = -start % (SIDE * SIDE);
        v.size = SIDE * SIDE;
        begin_squares(&local, sq);
    }
#endif
#endif
#ifdef TEAM
    state team[TEAM];
    u64 team_end = 0;
#endif
    for (u64 n = 0, next; n < count; n = next) {
        /* Whether the glance has chosen this block alone. */
        u32 chosen = 0;
#if LANES > 1 && defined(HINT)
        /* A filter that most blocks pass is not worth a glance. */
        if (n >= head && n >= v.end && v.size && n + v.size <= count &&
            2 * v.promised <= (v.glanced + 2) * (v.size / LANES)) {
            glance(&v, n, (count - n) / v.size, &local, draws, jumps, group_buffer, sq);
            n = v.begin;
            if (n >= count) break;
        }
        if (n < v.end) {
            u32 rest = v.blocks >> (n - v.begin) / LANES;
            next = v.end;
            if (!rest) continue;
            n += (u64)__builtin_ctz(rest) * LANES;
            chosen = 1;
        }
#endif
        next = n < head && n + LANES > head ? head : n + LANES;
        const state *seeded = 0;
#ifdef TEAM
        if (!chosen && n >= team_end && n + TEAM * LANES <= count) {
            seed_team(team, start + n, &local);
            team_end = n + TEAM * LANES;
        }
        if (n < team_end) seeded = &team[TEAM - (team_end - n) / LANES];
#endif
        best b = sieve_block(seeds_at(start + n, &local), seeded, &local, draws, jumps, buffer);
        if (!any(above(b.matches, all32(least_matches(&local) - 1)))) continue;
        for (u32 i = 0; n + i < next && n + i < count; i++) {
            if (LANE(b.matches, i) < least_matches(&local)) continue;
            if (*found < capacity) {
                hit h = {start + n + i, LANE(b.skip, i), LANE(b.offset, i), (u32)local.window_start, LANE(b.matches, i)};
                hits[*found] = h;
            }
            ++*found;
        }
    }
}

/* out[i * count + j] = output first + j of seeds[i]. A block holds seeds that lie anywhere, so they are gathered, and
   those of another half of the seed space than the block's first get a block of their own (see SEEDING of mt19937). */
void outputs(const search *q, const jump *jumps, const u64 *seeds, u64 n, i64 first, u64 count, u32 *out, u32 *buffer) {
    for (u64 at = 0; at < n;) {
        u32 used = 0;
        wseed z = seeds_from(seeds[at]);
        while (used < LANES && at + used < n && seeds[at + used] >> 32 == seeds[at] >> 32) {
#if LANES > 1
            z[used] = seeds[at + used];
#endif
            used++;
        }
        u32 from = outputs_block(z, q, jumps, first, count, buffer);
        for (u32 i = 0; i < used; i++)
            for (u64 j = 0; j < count; j++) out[(at + i) * count + j] = buffer[(from + j) * LANES + i];
        at += used;
    }
}

/* Steps over n outputs, for n = from .. from + count - 1. */
void jump_table(const u64 *param, u64 from, u64 count, jump *out) {
#ifdef JUMPS
    for (u64 i = 0; i < count; i++) out[i] = jump_by((from + i) * WORDS, param);
#endif
}

u32 has_jump(void) {
#ifdef JUMPS
    return 1;
#else
    return 0;
#endif
}

#endif
