//! The same elements in another order: copies, of as many at once as stay side by side.

/// The axes of each row permuted: result axis i is axis `perm[i]` of `shape`.
pub(crate) fn transpose(x: &[u64], shape: &[usize], perm: &[usize], out: &mut [u64]) {
    let strides = strides(shape);
    let mut order = vec![0usize];
    for p in perm {
        order = order
            .iter()
            .flat_map(|base| (0..shape[*p]).map(move |i| (base, i)))
            .map(|(base, i)| base + i * strides[*p])
            .collect();
    }
    for (row, out) in x.chunks_exact(order.len()).zip(out.chunks_exact_mut(order.len())) {
        out.iter_mut().zip(&order).for_each(|(o, from)| *o = row[*from]);
    }
}

/// How far apart neighbours along each axis are.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    strides
}

/// Where a result's elements come from: a place, or nothing for zeros.
type Place = Option<usize>;

/// Elements of each row by index lists, one an axis: what a row of the result is put together
/// from.
pub(crate) struct Gather {
    /// Elements of a row.
    from: usize,
    to: usize,
    /// The lines of the result up to the last axis that has a list.
    lines: Vec<Place>,
    /// What follows each other in a line, and how many elements.
    pieces: Vec<(Place, usize)>,
}

impl Gather {
    /// `index[i]` is the list of axis `axis[i]` of `shape`; -1 gives zeros. There is at least one
    /// axis, and they ascend.
    pub(crate) fn new(shape: &[usize], axis: &[usize], index: &[Vec<i64>]) -> Gather {
        let (strides, last) = (strides(shape), axis.last().copied().unwrap_or(0));
        let mut lines = vec![Some(0)];
        for at in 0..last {
            let step = strides[at];
            let places: Vec<Place> = match axis.iter().position(|axis| *axis == at) {
                Some(i) => places(&index[i], step).collect(),
                None => (0..shape[at]).map(|i| Some(i * step)).collect(),
            };
            let along = |line: &Place| {
                let line = *line;
                places.iter().map(move |place| Some(line? + (*place)?))
            };
            lines = lines.iter().flat_map(along).collect();
        }

        let pieces = index.last().map_or_else(Vec::new, |index| joined(index, strides[last]));
        let line: usize = pieces.iter().map(|(_, len)| len).sum();
        Gather { from: shape.iter().product(), to: lines.len() * line, lines, pieces }
    }

    /// All rows of x.
    pub(crate) fn copy(&self, x: &[u64], out: &mut [u64]) {
        for (x, mut out) in x.chunks_exact(self.from).zip(out.chunks_exact_mut(self.to)) {
            for (line, (piece, len)) in self
                .lines
                .iter()
                .flat_map(|line| self.pieces.iter().map(move |piece| (line, piece)))
            {
                let (part, rest) = out.split_at_mut(*len);
                match (line, piece) {
                    (Some(line), Some(piece)) => part.copy_from_slice(&x[line + piece..][..*len]),
                    _ => part.fill(0),
                }
                out = rest;
            }
        }
    }
}

/// Where the elements of an index list are, `step` apart.
fn places(index: &[i64], step: usize) -> impl Iterator<Item = Place> + '_ {
    index.iter().map(move |i| usize::try_from(*i).ok().map(|i| i * step))
}

/// The same, with neighbours put together.
fn joined(index: &[i64], step: usize) -> Vec<(Place, usize)> {
    let mut pieces: Vec<(Place, usize)> = vec![];
    for place in places(index, step) {
        match pieces.last_mut() {
            Some((first, len)) if first.map(|first| first + *len) == place => *len += step,
            _ => pieces.push((place, step)),
        }
    }
    pieces
}

/// Values side by side along an axis: of each in turn as many elements as it has from that axis on.
pub(crate) fn concatenate(parts: &[(&[u64], usize)], out: &mut [u64]) {
    let line = parts.iter().map(|(_, each)| each).sum();
    let mut at = 0;
    for (part, each) in parts {
        for (out, part) in out.chunks_exact_mut(line).zip(part.chunks_exact(*each)) {
            out[at..at + each].copy_from_slice(part);
        }
        at += each;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn axes_are_turned_in_each_row() {
        let x: Vec<u64> = (0..12).collect(); // two rows of (2, 3)
        let mut turned = vec![0; 12];
        transpose(&x, &[2, 3], &[1, 0], &mut turned);
        assert_eq!(turned, [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
    }

    /// What an index list of entries -1 … size - 1 is made of.
    fn index(size: usize, seeds: &[usize]) -> Vec<i64> {
        seeds.iter().map(|seed| (seed % (size + 1)) as i64 - 1).collect()
    }

    proptest! {
        #[test]
        fn gathered_elements_are_those_of_the_index(
            shape in [1usize..5, 1usize..5, 1usize..5],
            seeds in prop::array::uniform3(prop::collection::vec(0usize..60, 1..7)),
            axes in 1usize..8,
            rows in 1usize..3,
        ) {
            let axis: Vec<usize> = (0..3).filter(|axis| axes >> axis & 1 == 1).collect();
            let index: Vec<Vec<i64>> =
                axis.iter().map(|axis| index(shape[*axis], &seeds[*axis])).collect();
            // the list of an axis that has none is all of it
            let list = |at: usize| match axis.iter().position(|axis| *axis == at) {
                Some(i) => index[i].clone(),
                None => (0..shape[at] as i64).collect(),
            };
            let lists = [0, 1, 2].map(list);
            let row: usize = shape.iter().product();
            let x: Vec<u64> = (1..=(rows * row) as u64).collect();
            let mut want = vec![];
            for x in x.chunks_exact(row) {
                let pairs = lists[0].iter().flat_map(|i| lists[1].iter().map(move |j| (*i, *j)));
                let triples = pairs.flat_map(|(i, j)| lists[2].iter().map(move |k| (i, j, *k)));
                for (i, j, k) in triples {
                    let zero = i < 0 || j < 0 || k < 0;
                    let at = || (i as usize * shape[1] + j as usize) * shape[2] + k as usize;
                    want.push(if zero { 0 } else { x[at()] });
                }
            }
            let mut out = vec![u64::MAX; want.len()];
            Gather::new(&shape, &axis, &index).copy(&x, &mut out);
            prop_assert_eq!(out, want);
        }
    }

    #[test]
    fn neighbours_are_copied_at_once() {
        let padded = Gather::new(&[2, 3, 4], &[0, 1], &[vec![-1, 0, 1], vec![-1, 0, 1, 2, -1, -1]]);
        assert_eq!(padded.pieces, [(None, 4), (Some(0), 12), (None, 8)]);
        assert_eq!(padded.lines, [None, Some(0), Some(12)]);
    }

    #[test]
    fn values_stand_side_by_side() {
        let (a, b): (Vec<u64>, Vec<u64>) = ((0..4).collect(), (10..16).collect());
        let mut out = vec![0; 14]; // two lines each
        concatenate(&[(&a, 2), (&b, 3), (&a, 2)], &mut out);
        assert_eq!(out, [0, 1, 10, 11, 12, 0, 1, 2, 3, 13, 14, 15, 2, 3]);
    }
}
