//! Both protocols against integer arithmetic on the plain values.

use super::*;

/// Uniform values with |v| < 2^bits, the edges and their neighbours among them.
fn values(bits: u32, n: usize) -> Vec<i64> {
    let edge = 1i64 << bits;
    let special = [
        0,
        1,
        -1,
        2,
        -2,
        65535,
        65536,
        65537,
        -65535,
        -65536,
        -65537,
        edge - 1,
        edge - 2,
        -edge + 1,
        -edge + 2,
        edge / 2,
        -edge / 2,
        edge / 2 - 1,
    ];
    let uniform = random(u64::from(bits), n - special.len());
    let uniform =
        uniform
            .into_iter()
            .map(|v| (v as i64) >> (63 - bits))
            .map(|v| if v == -edge { 0 } else { v });
    special.into_iter().chain(uniform).collect()
}

fn elementwise(middle: &str) -> String {
    format!(
        r#"{{"fraction_bits":16,"instructions":[
        {{"bound":65536,"op":"input","shape":[1000]}},
        {middle}],"version":1}}"#
    )
}

fn ring(values: &[i64]) -> Vec<u64> {
    values.iter().map(|v| *v as u64).collect()
}

const MILLION: usize = 1_000_000;

#[test]
fn a_million_truncations_over_the_whole_range_are_the_floor_or_one_more() {
    for protocol in ProtocolName::ALL {
        for shift in [1u32, 16, 18, 31] {
            let program = elementwise(&format!(
                r#"{{"factor":1,"in":[0],"op":"scale","shape":[1000]}},
                {{"in":[1],"op":"truncate","shape":[1000],"shift":{shift}}},
                {{"in":[2],"op":"output","shape":[1000]}}"#
            ));
            let z = values(62, if shift == 16 { MILLION } else { MILLION / 10 });
            let t = reconstruct(
                &share(protocol, &program, &[]),
                z.len() / 1000,
                &ring(&z),
                u64::from(shift),
            );
            for (z, t) in z.iter().zip(t) {
                let floor = z >> shift;
                assert!(
                    t as i64 == floor || t as i64 == floor + 1,
                    "{z} >> {shift} gave {}",
                    t as i64
                );
            }
        }
    }
}

#[test]
fn a_million_comparisons_over_the_whole_window_are_right() {
    for protocol in ProtocolName::ALL {
        let program = elementwise(
            r#"{"in":[0],"op":"relu","shape":[1000]},
            {"factor":2,"in":[1],"op":"scale","shape":[1000]},
            {"in":[2],"op":"truncate_output","shape":[1000],"shift":1}"#,
        );
        let x = values(31, MILLION);
        let y = reconstruct(&share(protocol, &program, &[]), x.len() / 1000, &ring(&x), 1);
        for (x, y) in x.iter().zip(y) {
            assert_eq!(y as i64, (*x).max(0), "relu of {x}");
        }
    }
}

#[test]
fn comparisons_with_a_threshold_are_right_over_the_whole_window() {
    for (protocol, threshold) in
        ProtocolName::ALL.into_iter().flat_map(|p| [1, -65536, (1 << 31) - 1].map(|t| (p, t)))
    {
        let program = elementwise(&format!(
            r#"{{"in":[0],"op":"relu","shape":[1000],"threshold":{threshold}}},
            {{"factor":2,"in":[1],"op":"scale","shape":[1000]}},
            {{"in":[2],"op":"truncate_output","shape":[1000],"shift":1}}"#
        ));
        let mut x: Vec<i64> = values(31, 99_000).iter().map(|x| x + threshold).collect();
        x.extend((-500..500).map(|x| x + threshold));
        let y = reconstruct(&share(protocol, &program, &[]), x.len() / 1000, &ring(&x), 1);
        for (x, y) in x.iter().zip(y) {
            let want = if *x >= threshold { *x } else { 0 };
            assert_eq!(y as i64, want, "relu of {x} from {threshold}");
        }
    }
}

#[test]
fn truncation_and_comparison_in_one_are_right_over_the_whole_window() {
    for protocol in ProtocolName::ALL {
        for shift in [16u32, 18] {
            let program = elementwise(&format!(
                r#"{{"factor":1,"in":[0],"op":"scale","shape":[1000]}},
                {{"in":[1],"op":"truncate_relu","shape":[1000],"shift":{shift}}},
                {{"in":[2],"op":"output","shape":[1000]}}"#
            ));
            let mut z = values(31 + shift, 500_000);
            z.extend((-1000..1000).flat_map(|t: i64| [t << shift, (t << shift) - 1]));
            let most = ((1i64 << 31) - 2) << shift; // one more unit may come from the truncation
            z.iter_mut().for_each(|z| *z = (*z).clamp(-most, most));
            let y = reconstruct(
                &share(protocol, &program, &[]),
                z.len() / 1000,
                &ring(&z),
                u64::from(shift),
            );
            for (z, y) in z.iter().zip(y) {
                let floor = z >> shift;
                assert!(
                    y as i64 == floor.max(0) || y as i64 == (floor + 1).max(0),
                    "{z} gave {}",
                    y as i64
                );
            }
        }
    }
}

#[test]
fn a_small_network_with_every_instruction_agrees_with_integer_arithmetic() {
    for protocol in ProtocolName::ALL {
        let program = r#"{"fraction_bits":16,"instructions":[
            {"bound":65536,"op":"input","shape":[6,6,2]},
            {"op":"weight","scale":16,"shape":[3,3,2,5]},
            {"op":"weight","scale":32,"shape":[5]},
            {"dilation":[1,1],"in":[0],"op":"sum_pool",
             "shape":[5,5,2],"stride":[1,1],"window":[2,2]},
            {"in":[3,1],"op":"conv2d","shape":[2,2,5],"stride":[2,2]},
            {"in":[4,2],"op":"add","shape":[2,2,5]},
            {"in":[5],"op":"truncate_relu","shape":[2,2,5],"shift":18},
            {"in":[6],"op":"transpose","perm":[2,0,1],"shape":[5,2,2]},
            {"in":[7],"op":"reshape","shape":[20]},
            {"op":"weight","scale":16,"shape":[20,3]},
            {"in":[8,9],"op":"matmul","shape":[3]},
            {"in":[10],"op":"truncate","shape":[3],"shift":16},
            {"in":[11],"op":"relu","shape":[3]},
            {"factor":3,"in":[12],"op":"scale","shape":[3]},
            {"in":[13],"op":"truncate_output","shape":[3],"shift":1}],"version":1}"#;
        let fixed = |seed, n: usize| -> Vec<i64> {
            random(seed, n).into_iter().map(|v| (v as i64) >> 47).collect()
        }; // |v| < 1 in 16 fraction bits
        let (kernel, bias, dense) = (
            fixed(1, 90),
            fixed(2, 5).into_iter().map(|v| v << 18).collect::<Vec<i64>>(),
            fixed(3, 60),
        );
        let weights = [
            (1, vec![3, 3, 2, 5], ring(&kernel)),
            (2, vec![5], ring(&bias)),
            (9, vec![20, 3], ring(&dense)),
        ];
        let shares = share(protocol, program, &weights);
        let rows = 33;
        let x = fixed(4, rows * 72);
        let got = reconstruct(&shares, rows, &ring(&x), 9);
        for row in 0..rows {
            let x = &x[row * 72..(row + 1) * 72];
            let pooled = |y: usize, c: usize, ch: usize| -> i64 {
                [(0, 0), (0, 1), (1, 0), (1, 1)]
                    .iter()
                    .map(|(dy, dx)| x[((y + dy) * 6 + c + dx) * 2 + ch])
                    .sum()
            };
            let mut hidden = [0i64; 20]; // (O, H, W)
            for (o, y, c) in
                (0..5).flat_map(|o| (0..2).flat_map(move |y| (0..2).map(move |c| (o, y, c))))
            {
                let mut z = bias[o];
                for (ky, kx, ch) in (0..3)
                    .flat_map(|ky| (0..3).flat_map(move |kx| (0..2).map(move |ch| (ky, kx, ch))))
                {
                    z += pooled(2 * y + ky, 2 * c + kx, ch)
                        * kernel[((ky * 3 + kx) * 2 + ch) * 5 + o];
                }
                hidden[(o * 2 + y) * 2 + c] = (z >> 18).max(0);
            }
            for j in 0..3 {
                let sum: i64 = (0..20).map(|i| hidden[i] * dense[i * 3 + j]).sum();
                let logit = ((sum >> 16).max(0) * 3) >> 1;
                let error = (got[row * 3 + j] as i64 - logit).abs();
                assert!(
                    error <= 40,
                    "row {row}, output {j}: {} and {logit}",
                    got[row * 3 + j] as i64
                );
                // 21 roundings of at most 1, weights below 1
            }
        }
    }
}

#[test]
fn output_shares_are_fresh_in_every_batch() {
    for protocol in ProtocolName::ALL {
        let program = elementwise(
            r#"{"in":[0],"op":"relu","shape":[1000]},
            {"factor":2,"in":[1],"op":"scale","shape":[1000]},
            {"in":[2],"op":"truncate_output","shape":[1000],"shift":1}"#,
        );
        let shares = share(protocol, &program, &[]);
        let x = ring(&values(20, 1000));
        let [[a1, b1], [a2, b2]] = [1, 2].map(|seed| output_shares(&shares, 1, &x, seed));
        let equal = |x: &[u64], y: &[u64]| x.iter().zip(y).filter(|(x, y)| x == y).count();
        assert_eq!((equal(&a1, &a2), equal(&b1, &b2)), (0, 0), "no share repeats");
        let sum = |a: &[u64], b: &[u64]| -> Vec<u64> {
            a.iter().zip(b).map(|(a, b)| a.wrapping_add(*b)).collect()
        };
        assert_eq!(sum(&a1, &b1), sum(&a2, &b2), "the value does");
    }
}

#[test]
fn the_maximum_of_any_window_is_right() {
    for protocol in ProtocolName::ALL {
        for (window, stride, result) in [
            ([2, 2], [2, 2], [3, 2]),
            ([3, 1], [1, 2], [4, 3]),
            ([1, 1], [1, 1], [6, 5]),
            ([3, 3], [3, 2], [2, 2]),
        ] {
            let shape = |size: [usize; 2]| format!("[{},{},3]", size[0], size[1]);
            let (from, to) = (shape([6, 5]), shape(result));
            let program = format!(
                r#"{{"fraction_bits":16,"instructions":[
                {{"bound":65536,"op":"input","shape":{from}}},
                {{"in":[0],"op":"max_pool","shape":{to},"stride":{stride:?},"window":{window:?}}},
                {{"factor":2,"in":[1],"op":"scale","shape":{to}}},
                {{"in":[2],"op":"truncate_output","shape":{to},"shift":1}}],"version":1}}"#
            );
            let rows = 20;
            let x: Vec<i64> = values(30, rows * 90);
            let y = reconstruct(&share(protocol, &program, &[]), rows, &ring(&x), 3);
            for (at, y) in y.into_iter().enumerate() {
                let (row, inner) =
                    (at / (result[0] * result[1] * 3), at % (result[0] * result[1] * 3));
                let (i, j, c) = (inner / (result[1] * 3), inner / 3 % result[1], inner % 3);
                let pixels = (0..window[0]).flat_map(|dy| (0..window[1]).map(move |dx| (dy, dx)));
                let all = pixels.map(|(dy, dx)| {
                    x[row * 90 + ((i * stride[0] + dy) * 5 + j * stride[1] + dx) * 3 + c]
                });
                assert_eq!(
                    Some(y as i64),
                    all.max(),
                    "{protocol}, window {window:?}, element {at}"
                );
            }
        }
    }
}

#[test]
fn what_goes_wrong_here_is_blamed_on_nobody_else() {
    let output = r#"{"factor":1,"in":[0],"op":"scale","shape":[1000]},
        {"in":[1],"op":"truncate_output","shape":[1000],"shift":16}"#;
    let shares = share(ProtocolName::Astra, &elementwise(output), &[]);
    let no_keys = || BatchKeys { ab: None, ac: None, bc: None };
    let mut links = memory().into_iter();
    for shares in &shares {
        let input = PartyInput::Carol { mask: vec![] };
        let mut channel = links.next().expect("a link each");
        let failed = run(shares, &no_keys(), 1, input, &mut channel, &mut Workspace::default())
            .expect_err("it cannot");
        assert!(matches!(&failed, ChannelError::Ours(why) if why.contains("key")), "{failed:?}");
        assert_eq!(failed.peer(), None);
    }
}

#[test]
fn a_sum_of_masked_values_is_their_sum() {
    let input = values(40, 1000);
    let middle = concat!(
        r#"{"in":[0],"op":"relu","shape":[1000]},{"in":[0,1],"op":"sum","shape":[1000]},"#,
        r#"{"factor":1,"in":[2],"op":"scale","shape":[1000]},"#,
        r#"{"in":[3],"op":"truncate_output","shape":[1000],"shift":1}"#
    );
    let small: Vec<i64> = input.iter().map(|v| v >> 10).collect(); // within the window of the ReLU
    for protocol in ProtocolName::ALL {
        let shares = share(protocol, &elementwise(middle), &[]);
        let output = reconstruct(&shares, 1, &ring(&small), 5);
        for (x, y) in small.iter().zip(output) {
            let sum = (x + x.max(&0)) >> 1;
            assert!((0..=1).contains(&(y as i64 - sum)), "{x}: {} in place of {sum}", y as i64);
        }
    }
}
