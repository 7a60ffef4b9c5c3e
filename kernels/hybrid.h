/* The sieve with a skip that may differ before every draw. Output x of a side, counted from the offset, can be draw i where
   from[i] <= x <= to[i]; two draws j < i of one path are from[i] - from[j] .. to[i] - to[j] outputs apart. A path may miss
   draws, at most `misses` in a row, at either end too. Its best number of matches is exact: only outputs that equal a
   draw within reach, the events, can be on a path, so the longest chain of events is found by dynamic programming over
   them (D. Gusfield, Algorithms on Strings, Trees, and Sequences, 13.3: chaining), and for a seed that chance made there
   are few. */

/* An event: its output and its draw, then the longest chain that ends there. */
#define EVENT(e, part, lane) CELL(list + 3 * (e) + (part), lane)

FN u32 inside(u32 value, const side *d, u32 i) {
    for (u32 r = d->range[i]; r < d->range[i + 1]; r++)
        if (value - d->bounds[2 * r] <= d->bounds[2 * r + 1]) return 1;
    return 0;
}

/* Whether event (y, i) may come right after event f on a path. */
FN u32 follows(const side *d, u32 y, u32 i, u32 f, u32 misses, u32 list, u32 lane, BUFFER) {
    u32 apart = y - EVENT(f, 0, lane), j = EVENT(f, 1, lane);
    return j < i && i - j <= misses + 1 && apart >= d->from[i] - d->from[j] && apart <= d->to[i] - d->to[j];
}

/* The events of a side that can be on a path with enough matches under some offset, in order of output, into the lists from
   slot `list` on. Output y of the scan is output x = y - shift of the side, where shift is how far the offset is past the
   scan's first. */
FN void collect(const side *d, u32 back, streams *t, const search *q, u32 list, u32 *count, BUFFER) {
    u32 shifts = (u32)(q->offset_max - q->offset_min), misses = (u32)q->misses, n = d->n, spare = n - d->need;
    /* The last output at which a path can begin, or go on from an event: no later one is worth a look. */
    u32 alive = d->to[misses < spare ? misses : spare] + shifts;
    for (u32 i = 0; i < LANES; i++) count[i] = 0;
    for (u32 y = d->from[0]; y <= alive; y++) {
        i64 a = back ? (i64)q->offset_max - 1 - y : (i64)q->offset_min + y;
        w32 value = output_at(t, a, q, PASS_BUFFER);
        for (u32 some = members(d->heads + d->buckets, value, d->buckets); some; some &= some - 1) {
            u32 lane = lowest_bit(some);
            u32 item = d->heads[LANE(value, lane) & (d->buckets - 1)];
            for (u32 i; (i = d->items[item]) != NO_ITEM; item++) {
                if (y < d->from[i] || y > d->to[i] + shifts || !inside(LANE(value, lane), d, i)) continue;
                u32 e = count[lane], length = i <= misses;
                for (u32 f = e; f-- > 0;)
                    if (EVENT(f, 2, lane) >= length && follows(d, y, i, f, misses, list, lane, PASS_BUFFER))
                        length = EVENT(f, 2, lane) + 1;
                if (!length || length + n - 1 - i < d->need) continue;
                EVENT(e, 0, lane) = y;
                EVENT(e, 1, lane) = i;
                EVENT(e, 2, lane) = length;
                count[lane]++;
                u32 next = i + misses + 1 < length + spare ? i + misses + 1 : length + spare;
                next = next < n ? next : n - 1;
                u32 reach = next > i ? y + (d->to[next] - d->to[i]) : 0;
                alive = alive > reach ? alive : reach;
            }
        }
    }
}

/* Matches of the best path of one seed whose side's events are listed, at an offset `shift` past the scan's first. */
FN u32 longest(const side *d, u32 count, u32 shift, u32 misses, u32 list, u32 lane, BUFFER) {
    u32 most = 0;
    for (u32 e = 0; e < count; e++) {
        u32 y = EVENT(e, 0, lane), i = EVENT(e, 1, lane), length = 0;
        if (y >= d->from[i] + shift && y <= d->to[i] + shift) {
            length = i <= misses;
            u32 far = d->to[i] - d->to[i > misses ? i - misses - 1 : 0];
            for (u32 f = e; f-- > 0;) {
                u32 before = EVENT(f, 2, lane);
                if (y - EVENT(f, 0, lane) > far) break;
                if (before && before >= length && follows(d, y, i, f, misses, list, lane, PASS_BUFFER)) length = before + 1;
            }
            if (d->n - 1 - i <= misses && length > most) most = length;
        }
        EVENT(e, 2, lane) = length;
    }
    return most;
}

FN best sieve_block(wseed z, const state *seeded, const search *q, const u32 *table, const jump *jumps, BUFFER) {
    best b = {all32(least_matches(q) - 1), all32(0), all32(0)};
    side ahead = side_at(table, q->ahead), behind = side_at(table, q->behind);
    u32 list = (u32)(q->positions + q->positions_behind), other = list + (ahead.n ? 3 * (u32)q->events : 0);
    u32 misses = (u32)q->misses, n_ahead[LANES], n_behind[LANES], hopeful = 0;
    streams t;
    begin_both(&t, z, seeded, q);
    if (ahead.n) {
        collect(&ahead, 0, &t, q, list, n_ahead, PASS_BUFFER);
        for (u32 lane = 0; lane < LANES; lane++) hopeful |= n_ahead[lane] >= ahead.need;
        if (!hopeful) return b;
    }
    if (behind.n) collect(&behind, 1, &t, q, other, n_behind, PASS_BUFFER);
    for (u32 lane = 0; lane < LANES; lane++) {
        u32 most = least_matches(q) - 1;
        if (ahead.n && n_ahead[lane] < ahead.need) continue;
        if (behind.n && n_behind[lane] < behind.need) continue;
        for (u32 o = (u32)q->offset_min; o <= (u32)q->offset_max; o++) {
            u32 matches = 0, more = 0;
            if (ahead.n) {
                matches = longest(&ahead, n_ahead[lane], o - (u32)q->offset_min, misses, list, lane, PASS_BUFFER);
                if (matches < ahead.need) continue;
            }
            if (behind.n) {
                more = longest(&behind, n_behind[lane], (u32)q->offset_max - o, misses, other, lane, PASS_BUFFER);
                if (more < behind.need) continue;
            }
            if (matches + more <= most) continue;
            most = matches + more;
            LANE(b.matches, lane) = most;
            LANE(b.offset, lane) = o;
        }
    }
    return b;
}
