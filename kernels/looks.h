/* The sieve at a constant skip over any draws on either side of the boundary; see sides.h. A hypothesis survives that
   has enough matches on each side that has draws. */

FN w32 within(w32 x, const side *d, u32 i) {
    w32 yes = all32(0);
    for (u32 r = d->range[i]; r < d->range[i + 1]; r++)
        yes |= upto(x - all32(d->bounds[2 * r]), all32(d->bounds[2 * r + 1]));
    return yes;
}

/* Matches of a side at skip s and offset o, `way` being 1 ahead and -1 behind; 0 in the lanes below its need. */
FN w32 side_matches(const side *d, i64 way, streams *t, u32 s, u32 o, const search *q, BUFFER) {
    w32 matches = all32(0);
    for (u32 i = 0; i < d->n; i++) {
        i64 a = (i64)o - 1 + way * (i64)d->from[i] * (s + 1);
        matches -= within(output_at(t, a, q, PASS_BUFFER), d, i);
        if (hopeless(matches, i + 1, d->n, d->need)) return all32(0);
    }
    return pick(above(matches, all32(d->need - 1)), matches, all32(0));
}

FN best sieve_block(wseed z, const state *seeded, const search *q, const u32 *table, const jump *jumps, BUFFER) {
    best b = {all32(least_matches(q) - 1), all32(0), all32(0)};
    side ahead = side_at(table, q->ahead), behind = side_at(table, q->behind);
    streams t;
    begin_both(&t, z, seeded, q);
    for (u32 s = (u32)q->skip_min; s <= (u32)q->skip_max; s++)
        for (u32 o = (u32)q->offset_min; o <= (u32)q->offset_max; o++) {
            w32 matches = all32(0);
            if (ahead.n) {
                matches = side_matches(&ahead, 1, &t, s, o, q, PASS_BUFFER);
                if (!any(above(matches, all32(0)))) continue;
            }
            if (behind.n) {
                w32 more = side_matches(&behind, -1, &t, s, o, q, PASS_BUFFER);
                w32 both = above(more, all32(0));
                if (ahead.n) both &= above(matches, all32(0));
                matches = (matches + more) & both;
            }
            judge(&b, matches, s, o);
        }
    return b;
}
