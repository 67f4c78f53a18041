//! Windows over the pixels of images.

use super::super::level::vectorized;

/// A window over the pixels of (H, W, C) images: for sums and maxima.
#[derive(Clone, Copy)]
pub(crate) struct Pooling {
    pub(crate) image: [usize; 3],
    /// H', W'
    pub(crate) result: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) stride: [usize; 2],
}

impl Pooling {
    /// For every pixel of the result: `visit(from, to)` with the first element of the input's pixel
    /// (dy, dx) of its window and of the result's pixel.
    #[inline(always)]
    fn pixels(&self, x: usize, [dy, dx]: [usize; 2], mut visit: impl FnMut(usize, usize)) {
        let [height, width, channels] = self.image;
        let mut to = 0;
        for row in 0..x / (height * width * channels) {
            for y in 0..self.result[0] {
                let line = row * height + y * self.stride[0] + dy * self.dilation[0];
                for column in 0..self.result[1] {
                    visit(
                        (line * width + column * self.stride[1] + dx * self.dilation[1]) * channels,
                        to,
                    );
                    to += channels;
                }
            }
        }
    }

    /// Adds pixel (dy, dx) of every window of x (batch, H, W, C) to `out` (batch, H', W', C).
    pub(crate) fn add(&self, x: &[u64], offset: [usize; 2], out: &mut [u64]) {
        let channels = self.image[2];
        vectorized(
            #[inline(always)]
            || {
                self.pixels(x.len(), offset, |from, to| {
                    for (o, v) in out[to..to + channels].iter_mut().zip(&x[from..from + channels]) {
                        *o = o.wrapping_add(*v);
                    }
                });
            },
        );
    }

    /// Pixel (dy, dx) of every window.
    pub(crate) fn pick(&self, x: &[u64], offset: [usize; 2], out: &mut [u64]) {
        let channels = self.image[2];
        self.pixels(x.len(), offset, |from, to| {
            out[to..to + channels].copy_from_slice(&x[from..from + channels])
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_follow_their_windows() {
        let image: Vec<u64> = (0..9).collect();
        let sums = |result: [usize; 2], dilation: [usize; 2]| {
            let mut out = vec![0; result[0] * result[1]];
            let pooling = Pooling { image: [3, 3, 1], result, dilation, stride: [1, 1] };
            [[0, 0], [0, 1], [1, 0], [1, 1]]
                .into_iter()
                .for_each(|offset| pooling.add(&image, offset, &mut out));
            out
        };
        assert_eq!((sums([2, 2], [1, 1]), sums([1, 1], [2, 2])), (vec![8, 12, 20, 24], vec![16]));
    }
}
