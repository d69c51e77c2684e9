//! A walk along K by integer sums, for kernels that take any number of blocks a strip.

use std::slice::ChunksExact;

use super::int::{IntTile, Layout};
use super::scales::Group;
use crate::quant::BLOCK;

impl IntTile<'_> {
    /// Walks along K by integer sums.
    #[inline]
    pub(crate) fn steps(&self) -> Steps<'_> {
        Steps {
            strips: self.bytes.chunks_exact(self.layout.strip_bytes()),
            layout: self.layout,
            steps_of_block: BLOCK / self.form.step(),
            steps_of_group: self.form.group / self.form.step(),
            units: &[],
            groups: &[],
            blocks: &[],
            half: 0,
            steps_left: 0,
        }
    }
}

/// The steps of a tile: see [`IntTile::steps`].
pub(crate) struct Steps<'a> {
    strips: ChunksExact<'a, u8>,
    layout: Layout,
    steps_of_block: usize,
    steps_of_group: usize,
    /// Of the current strip.
    units: &'a [u8],
    /// Of the current strip, what is still to come.
    groups: &'a [u8],
    blocks: &'a [u8],
    /// The step to come of the first of `blocks`.
    half: usize,
    /// Of the current group.
    steps_left: usize,
}

/// One step along K.
pub(crate) struct Step<'a> {
    /// The group that starts here.
    pub(crate) group: Option<Group<'a>>,
    /// The block of codes of which this is a step.
    pub(crate) block: &'a [u8],
    /// Which half of it, if a step is half a block.
    pub(crate) half: usize,
}

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    #[inline]
    fn next(&mut self) -> Option<Step<'a>> {
        if self.blocks.is_empty() {
            let (header, blocks) = self.strips.next()?.split_at(self.layout.header_bytes);
            (self.units, self.groups) = header.split_at(self.layout.unit_bytes);
            self.blocks = blocks;
        }
        let mut group = None;
        if self.steps_left == 0 {
            let (own, rest) = self.groups.split_at(self.layout.group_bytes);
            group = Some(Group { units: self.units, own });
            (self.groups, self.steps_left) = (rest, self.steps_of_group);
        }
        self.steps_left -= 1;
        let (block, rest) = self.blocks.split_at(self.layout.block_bytes);
        let half = self.half;
        self.half += 1;
        if self.half == self.steps_of_block {
            (self.half, self.blocks) = (0, rest);
        }
        Some(Step { group, block, half })
    }
}
