/* Draws on both sides of a boundary, which lies before the window's first draw. Calls are counted from it: u = 1, 2, ...
   ahead, and 0, -1, ... behind. At skip s and offset o call u gave output o - 1 + u (s + 1); outputs with a negative
   index are those that the generator would have given before it was seeded, made by its inverse step.

   A side's draws stand nearest to the boundary first. What is known of a draw are ranges of values. */

typedef struct {
    u32 n, need, buckets;
    /* constant skip: |u| of each draw. Hybrid: least and greatest distance of its output from the side's first. */
    const u32 *from, *to;
    /* draw i may be any value of bounds[2 r] .. bounds[2 r] + bounds[2 r + 1], r = range[i] .. range[i + 1] - 1 */
    const u32 *range, *bounds;
    /* hybrid: draws that a value of bucket `value % buckets` may be: items from heads[bucket] to NO_ITEM; 0 if none. After
       the heads a bit for each bucket, set if there is one. */
    const u32 *heads, *items;
} side;

#define NO_ITEM 0xffffffffu

FN side side_at(const u32 *table, u64 at) {
    const u32 *h = table + at;
    side d = {h[0], h[1], h[2], h + h[3], h + h[4], h + h[5], h + h[6], h + h[7], h + h[8]};
    return d;
}

typedef struct { stream ahead, behind; } streams;

FN void begin_both(streams *t, wseed z, const state *seeded, const search *q) {
    begin(&t->ahead, z, seeded, q);
    begin(&t->behind, z, seeded, q);
    t->behind.back = 1;
    t->behind.base = (u32)q->positions;
    t->behind.room = (u32)q->positions_behind;
}

FN w32 output_at(streams *t, i64 a, const search *q, BUFFER) {
    if (a >= 0) {
        if (a >= t->ahead.have) fill(&t->ahead, (u32)a, q, PASS_BUFFER);
        return SLOT(a);
    }
    u32 b = (u32)(-1 - a);
    if (b >= t->behind.have) fill(&t->behind, b, q, PASS_BUFFER);
    return SLOT(q->positions + b);
}
