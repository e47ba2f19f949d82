//! A table of times over one to four sizes: interpolated inside, continued beyond.
//!
//! # What it decides
//! The time of a kernel at sizes that were not measured.
//!
//! # Formula
//! Inside the measured sizes: multilinear interpolation between the neighbouring points. Below the
//! smallest size of an axis: the time at that size, since a kernel takes its launch time however
//! little it does. Beyond the largest size `L`: along the straight line through the points at `L`
//! and at the largest measured size that is at most `L / 2`. Half an axis apart, because the last
//! two points of a finely measured kernel differ by tile effects more than by work. Where several
//! axes are exceeded at once, each mixed difference (so much more per token *and* per request)
//! counts as well. Differences that are negative count as zero, so that beyond the table the time
//! never falls when a size grows.
//!
//! Measured points need not form a full grid. A gap is filled along the last axis first, then
//! along the one before it, and so on: linearly between measured neighbours, then at the ends of a
//! line as above (constant before the first point, the straight line beyond the last).
//!
//! # Bounds and cost
//! The grid is dense, so a look-up is one binary search an axis and `2^D` reads: tens of
//! nanoseconds. At most [`CELLS_MAX`] cells.
//!
//! # What it is bad at
//! Quadratic growth far beyond the table: the line stays below the parabola.

/// The most cells of a dense grid: 32 MiB of times. The largest public tables need 72,200.
pub(super) const CELLS_MAX: usize = 4 << 20;

/// Times over `D` sizes. See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Grid<const D: usize> {
    axes: [Vec<f64>; D],
    strides: [usize; D],
    values: Vec<f64>,
}

/// A place on one axis: between the points `low` and the next, `share` of the way.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    low: usize,
    share: f64,
}

impl<const D: usize> Grid<D> {
    /// The grid through these points, or `None` if there is no point, or if the sizes differ so
    /// much between points that a full grid would have more than [`CELLS_MAX`] cells.
    pub(super) fn through(points: &[([f64; D], f64)]) -> Option<Self> {
        if points.is_empty() {
            return None;
        }
        let axes = std::array::from_fn(|d| {
            let mut axis: Vec<f64> = points.iter().map(|(sizes, _)| sizes[d]).collect();
            axis.sort_by(f64::total_cmp);
            axis.dedup();
            axis
        });
        let mut strides = [1; D];
        let mut cells = 1_usize;
        for d in (0..D).rev() {
            strides[d] = cells;
            cells = cells.checked_mul(axes[d].len()).filter(|&cells| cells <= CELLS_MAX)?;
        }
        let mut grid = Self { axes, strides, values: vec![f64::NAN; cells] };
        for (sizes, value) in points {
            let cell =
                (0..D).map(|d| rank(&grid.axes[d], sizes[d]) * grid.strides[d]).sum::<usize>();
            grid.values[cell] = *value;
        }
        grid.fill();
        Some(grid)
    }

    /// The measured sizes of an axis, ascending.
    pub(super) fn axis(&self, axis: usize) -> &[f64] {
        &self.axes[axis]
    }

    /// The time at these sizes.
    #[inline]
    pub(super) fn at(&self, sizes: [f64; D]) -> f64 {
        let mut places = [Place::default(); D];
        let mut excess = [0.0; D];
        let mut beyond = 0_usize;
        for d in 0..D {
            let axis = &self.axes[d];
            let last = axis.len() - 1;
            let above = axis.partition_point(|&point| point <= sizes[d]);
            if above > last {
                places[d].low = last;
                let reference = axis[reference(axis)];
                if reference < axis[last] && sizes[d] > axis[last] {
                    excess[d] = (sizes[d] - axis[last]) / (axis[last] - reference);
                    beyond |= 1 << d;
                }
            } else if above > 0 {
                let low = above - 1;
                let share = (sizes[d] - axis[low]) / (axis[above] - axis[low]);
                places[d] = Place { low, share };
            }
        }
        let inside = self.between(&places);
        if beyond == 0 { inside } else { inside + self.added_beyond(places, excess, beyond) }
    }

    /// Multilinear interpolation. A share of zero never touches the upper neighbour, which at the
    /// end of an axis does not exist.
    #[inline]
    fn between(&self, places: &[Place; D]) -> f64 {
        let mut sum = 0.0;
        'corners: for corner in 0..1_usize << D {
            let (mut cell, mut weight) = (0, 1.0);
            for (d, place) in places.iter().enumerate() {
                if corner >> d & 1 == 0 {
                    cell += place.low * self.strides[d];
                    weight *= 1.0 - place.share;
                } else if place.share == 0.0 {
                    continue 'corners;
                } else {
                    cell += (place.low + 1) * self.strides[d];
                    weight *= place.share;
                }
            }
            sum += weight * self.values[cell];
        }
        sum
    }

    /// What the exceeded axes add to the time at the edge: over every non-empty subset of them,
    /// the mixed difference between the last and the reference point, if positive, times how many
    /// such distances the sizes lie beyond. `beyond` is the set of exceeded axes, as bits.
    #[cold]
    fn added_beyond(&self, places: [Place; D], excess: [f64; D], beyond: usize) -> f64 {
        let mut added = 0.0;
        for subset in (1..1_usize << D).filter(|subset| subset & !beyond == 0) {
            let mut difference = 0.0;
            for lowered in (0..1_usize << D).filter(|lowered| lowered & !subset == 0) {
                let mut places = places;
                for (d, place) in places.iter_mut().enumerate() {
                    if lowered >> d & 1 == 1 {
                        *place = Place { low: reference(&self.axes[d]), share: 0.0 };
                    }
                }
                let sign = if lowered.count_ones() % 2 == 0 { 1.0 } else { -1.0 };
                difference += sign * self.between(&places);
            }
            let distance: f64 =
                (0..D).filter(|d| subset >> d & 1 == 1).map(|d| excess[d]).product();
            added += difference.max(0.0) * distance;
        }
        added
    }

    /// Gives every cell a time: gaps along each axis first, ends afterwards.
    fn fill(&mut self) {
        for axis in (0..D).rev() {
            self.for_each_line(axis, fill_gaps);
        }
        for axis in (0..D).rev() {
            self.for_each_line(axis, fill_ends);
        }
    }

    /// Applies `fill` to the cells of every line of the grid along `axis`, with their sizes.
    fn for_each_line(&mut self, axis: usize, fill: fn(&[f64], &mut [f64])) {
        let (sizes, stride) = (&self.axes[axis], self.strides[axis]);
        let mut line = vec![0.0; sizes.len()];
        for start in (0..self.values.len()).filter(|cell| cell / stride % sizes.len() == 0) {
            for (k, value) in line.iter_mut().enumerate() {
                *value = self.values[start + k * stride];
            }
            fill(sizes, &mut line);
            for (k, value) in line.iter().enumerate() {
                self.values[start + k * stride] = *value;
            }
        }
    }
}

/// Position of a size on the axis that was built from it.
fn rank(axis: &[f64], size: f64) -> usize {
    axis.partition_point(|&point| point < size)
}

/// The point from which the line beyond the last one is drawn: the largest that is at most half
/// of the last, else the first.
fn reference(axis: &[f64]) -> usize {
    let half = axis[axis.len() - 1] / 2.0;
    axis.partition_point(|&point| point <= half).saturating_sub(1)
}

/// Missing values (NaN) between two known ones, linearly.
fn fill_gaps(sizes: &[f64], line: &mut [f64]) {
    let mut known = None;
    for k in 0..line.len() {
        if line[k].is_nan() {
            continue;
        }
        if let Some(from) = known.replace(k) {
            for gap in from + 1..k {
                let share = (sizes[gap] - sizes[from]) / (sizes[k] - sizes[from]);
                line[gap] = line[from] + share * (line[k] - line[from]);
            }
        }
    }
}

/// Missing values before the first known one: that one. After the last: the line beyond. Filling
/// along another axis may have left new gaps, which come first.
fn fill_ends(sizes: &[f64], line: &mut [f64]) {
    fill_gaps(sizes, line);
    let Some(first) = line.iter().position(|value| !value.is_nan()) else { return };
    let last = line.iter().rposition(|value| !value.is_nan()).unwrap_or(first);
    let first_value = line[first];
    line[..first].fill(first_value);
    let from = first + reference(&sizes[first..=last]);
    let slope = if from == last {
        0.0
    } else {
        ((line[last] - line[from]) / (sizes[last] - sizes[from])).max(0.0)
    };
    for k in last + 1..line.len() {
        line[k] = line[last] + slope * (sizes[k] - sizes[last]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Points = Vec<([f64; 3], f64)>;

    /// Some of the points of a small grid with sizes 1, 3, 5, ... and times that mostly grow.
    fn points() -> impl Strategy<Value = Points> {
        let size = || (0_u8..5).prop_map(|k| f64::from(2 * k + 1));
        let point = ((size(), size(), size()), 0.0..10.0_f64);
        vec(point, 1..60).prop_map(|points| {
            let mut unique = Points::new();
            for ((a, b, c), noise) in points {
                if unique.iter().all(|(sizes, _)| *sizes != [a, b, c]) {
                    unique.push(([a, b, c], a * b + c + noise));
                }
            }
            unique
        })
    }

    fn largest(grid: &Grid<3>, axis: usize) -> f64 {
        *grid.axes[axis].last().unwrap()
    }

    /// The textbook definition, by recursion over the axes: an oracle for [`Grid::between`].
    fn interpolate(grid: &Grid<3>, sizes: &[f64], cell: usize) -> f64 {
        let Some((&size, rest)) = sizes.split_last() else { return grid.values[cell] };
        let (axis, stride) = (&grid.axes[rest.len()], grid.strides[rest.len()]);
        let at = |k: usize| interpolate(grid, rest, cell + k * stride);
        match axis.iter().position(|&point| point >= size) {
            Some(0) => at(0),
            None => at(axis.len() - 1),
            Some(k) => {
                let share = (size - axis[k - 1]) / (axis[k] - axis[k - 1]);
                at(k - 1) * (1.0 - share) + at(k) * share
            }
        }
    }

    proptest! {
        #[test]
        fn measured_points_are_kept(points in points()) {
            let grid = Grid::through(&points).unwrap();
            for (sizes, value) in points {
                prop_assert_eq!(grid.at(sizes), value);
            }
        }

        #[test]
        fn nothing_is_missing_and_nothing_lies_outside_the_measured(points in points(),
                a in 0.0..9.0, b in 0.0..9.0, c in 0.0..9.0) {
            let grid = Grid::through(&points).unwrap();
            prop_assert!(grid.values.iter().all(|value| value.is_finite() && *value >= 0.0));
            let sizes: [f64; 3] = [a, b, c];
            let inside: [f64; 3] = std::array::from_fn(|d| sizes[d].min(largest(&grid, d)));
            let value = grid.at(inside);
            let low = grid.values.iter().copied().fold(f64::MAX, f64::min);
            let high = grid.values.iter().copied().fold(f64::MIN, f64::max);
            prop_assert!((low - 1e-9..=high + 1e-9).contains(&value), "{value} in {low}..={high}");
            prop_assert!((value - interpolate(&grid, &inside, 0)).abs() <= 1e-9 * high.max(1.0));
        }

        #[test]
        fn beyond_the_table_time_never_falls(points in points(), a in 0.0..30.0, b in 0.0..30.0,
                c in 0.0..30.0, more in 0.0..50.0, axis in 0_usize..3) {
            let grid = Grid::through(&points).unwrap();
            let mut sizes: [f64; 3] = [a, b, c];
            sizes[axis] = sizes[axis].max(largest(&grid, axis));
            let before = grid.at(sizes);
            sizes[axis] += more;
            prop_assert!(grid.at(sizes) >= before);
            prop_assert!(before >= 0.0);
        }

        /// A multilinear function comes back exactly wherever gaps, edges and beyond may lie, as
        /// long as every corner of its box is measured.
        #[test]
        fn a_multilinear_function_is_its_own_continuation(extra in points(), a in 1.0..40.0,
                b in 1.0..40.0, c in 1.0..40.0) {
            let truth = |[a, b, c]: [f64; 3]| 1.0 + 2.0 * a + b + c / 2.0 + a * b + a * b * c;
            let corners = (0..8_u8).map(|k| [0, 1, 2].map(|d| f64::from(1 + 8 * (k >> d & 1))));
            let points: Points = corners.chain(extra.into_iter().map(|(sizes, _)| sizes))
                .map(|sizes| (sizes, truth(sizes))).collect();
            let grid = Grid::through(&points).unwrap();
            let (value, truth) = (grid.at([a, b, c]), truth([a, b, c]));
            prop_assert!((value - truth).abs() <= 1e-9 * truth, "{value} is not {truth}");
        }
    }

    #[test]
    fn the_line_beyond_spans_half_the_axis() {
        let points = [(1.0, 1.0), (50.0, 50.0), (98.0, 110.0), (100.0, 100.0)];
        let grid = Grid::through(&points.map(|(size, value)| ([size], value))).unwrap();
        assert_eq!(grid.at([200.0]), 200.0);
        assert_eq!(grid.at([0.0]), 1.0);
    }

    #[test]
    fn a_grid_with_too_many_cells_is_refused() {
        let points: Vec<_> = (0..4_000).map(|k| ([f64::from(k), f64::from(k)], 1.0)).collect();
        assert!(Grid::through(&points).is_none());
        assert!(Grid::<2>::through(&[]).is_none());
    }
}
