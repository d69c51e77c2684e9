//! Which lines share a register tile, and over which slots.

use std::ops::Range;

use super::register_tile::MAX_LINES;
use super::spans::{Span, Spans};
use super::{CHUNK_LEN, Tile};

/// Lines that share a register tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) first: usize,
    pub(crate) len: usize,
}

impl Group {
    fn lines(self) -> Range<usize> {
        self.first..self.first + self.len
    }
}

/// Cuts lines into groups of nearly equal size.
fn groups(num_lines: usize) -> impl Iterator<Item = Group> {
    let num_groups = num_lines.div_ceil(MAX_LINES);
    let start = move |group: usize| group * num_lines / num_groups;
    (0..num_groups).map(move |g| Group { first: start(g), len: start(g + 1) - start(g) })
}

/// The slots of a chunk to score for each group: all that its lines see, in whole groups of lanes.
pub(crate) fn plan_keys(tile: &Tile<'_>, spans: &Spans, plan: &mut Vec<(Group, Span)>) {
    plan.clear();
    for group in groups(tile.num_lines()) {
        let columns = spans.hull(tile.rows_of(group.lines())).outward();
        if !columns.is_empty() {
            plan.push((group, columns));
        }
    }
}

/// The slots of a chunk to weigh for each group, and line by line where its lines see different
/// slots: what a line does not see must not touch it, not even with a weight of zero, for the value
/// may be infinite. Each line gets its slots in ascending order.
///
/// What lines share is whole cells of `per_cell` slots, so that how a cell is summed depends on the
/// line alone.
pub(crate) fn plan_values(
    tile: &Tile<'_>,
    spans: &Spans,
    per_cell: usize,
    plan: &mut Vec<(Group, Span)>,
) {
    let chunk = Span { start: 0, end: CHUNK_LEN };
    plan.clear();
    for group in groups(tile.num_lines()) {
        let rows = tile.rows_of(group.lines());
        if rows.len() == 1 {
            push_visible(group, spans.of_row(rows.start), chunk, plan);
            continue;
        }
        let common = common_span(spans, rows).inward(per_cell);
        push_lines(tile, spans, (group, Span { end: common.start, ..chunk }), plan);
        if !common.is_empty() {
            plan.push((group, common));
        }
        push_lines(tile, spans, (group, Span { start: common.end, ..chunk }), plan);
    }
}

/// The slots of `part` that each line of a group sees.
fn push_lines(
    tile: &Tile<'_>,
    spans: &Spans,
    (group, part): (Group, Span),
    plan: &mut Vec<(Group, Span)>,
) {
    for first in group.lines() {
        push_visible(Group { first, len: 1 }, spans.of_row(first / tile.group), part, plan);
    }
}

fn push_visible(group: Group, seen: &[Span], part: Span, plan: &mut Vec<(Group, Span)>) {
    let slots = seen.iter().map(|seen| seen.intersect(part)).filter(|slots| !slots.is_empty());
    plan.extend(slots.map(|slots| (group, slots)));
}

/// The slots that all rows see, or an empty span at the end of the chunk if they are not one run.
fn common_span(spans: &Spans, rows: Range<usize>) -> Span {
    let nothing = Span { start: CHUNK_LEN, end: CHUNK_LEN };
    let mut common = Span { start: 0, end: CHUNK_LEN };
    for row in rows {
        match spans.of_row(row) {
            [seen] => common = common.intersect(*seen),
            _ => return nothing,
        }
    }
    if common.is_empty() { nothing } else { common }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_nearly_equal_and_cover_all_lines() {
        let lens = |n| groups(n).map(|group| group.len).collect::<Vec<_>>();
        assert_eq!(lens(1), [1]);
        assert_eq!(lens(8), [4, 4]);
        assert_eq!(lens(13), [4, 4, 5]);
        for n in 1..200 {
            assert_eq!(lens(n).iter().sum::<usize>(), n);
            assert!(lens(n).iter().all(|&len| (1..=MAX_LINES).contains(&len)));
        }
    }
}
