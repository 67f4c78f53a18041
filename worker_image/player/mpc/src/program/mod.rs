//! The program: what the players compute, without weights. docs/program.md is its definition; this
//! module reads and checks it.
//!
//! A player runs no program that could tell a client more than predictions of its own rows
//! (docs/program.md, Well-formed programs):
//! * Rows never mix: shapes and operands are those of one row, so no instruction has a word for
//!   another row.
//! * Every output depends on the client's input: only `input` makes a masked value from nothing,
//!   and everything that may be output is made from one (`Form`).
//! * Every output has passed a truncation since the input (`Form::Masked`). It is masked afresh by
//!   the output instruction itself.
//! * An output goes only to its row's client: there is one, it comes last, and it names no
//!   addressee.

use serde::Deserialize;

/// A tensor's size in one row of the batch.
pub type Shape = Vec<usize>;

const MAX_INSTRUCTIONS: usize = 4096;
const MAX_ELEMENTS: usize = 1 << 28;
const FRACTION_BITS: u32 = 16;
const MAX_SHIFT: u32 = 31;

/// A checked program: shapes, forms and order are right, so that the protocol can index without
/// looking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub instructions: Vec<Instruction>,
}

/// Instruction i defines value i. Operands are indices of earlier values.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Instruction {
    Input {
        shape: Shape,
        bound: u64,
    },
    Weight {
        shape: Shape,
        scale: u32,
    },
    Conv2d {
        shape: Shape,
        r#in: [usize; 2],
        stride: [usize; 2],
    },
    Matmul {
        shape: Shape,
        r#in: [usize; 2],
    },
    Scale {
        shape: Shape,
        r#in: [usize; 1],
        factor: i64,
    },
    Add {
        shape: Shape,
        r#in: [usize; 2],
    },
    SumPool {
        shape: Shape,
        r#in: [usize; 1],
        window: [usize; 2],
        dilation: [usize; 2],
        stride: [usize; 2],
    },
    MaxPool {
        shape: Shape,
        r#in: [usize; 1],
        window: [usize; 2],
        stride: [usize; 2],
    },
    Reshape {
        shape: Shape,
        r#in: [usize; 1],
    },
    Transpose {
        shape: Shape,
        r#in: [usize; 1],
        perm: Vec<usize>,
    },
    Truncate {
        shape: Shape,
        r#in: [usize; 1],
        shift: u32,
    },
    Relu {
        shape: Shape,
        r#in: [usize; 1],
    },
    TruncateRelu {
        shape: Shape,
        r#in: [usize; 1],
        shift: u32,
    },
    Output {
        shape: Shape,
        r#in: [usize; 1],
    },
    TruncateOutput {
        shape: Shape,
        r#in: [usize; 1],
        shift: u32,
    },
}

/// Why a program is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error("the program is not valid JSON of a known form: {0}; share the model again with a share step of this version")]
    Format(#[from] serde_json::Error),
    #[error("the program is of version {0}, this player runs version 1; use a share step and players of one release")]
    Version(u32),
    #[error("the program uses {0} fraction bits, this player {FRACTION_BITS}")]
    FractionBits(u32),
    #[error("the program has {0} instructions; a player takes 1 to {MAX_INSTRUCTIONS}")]
    Length(usize),
    #[error("instruction {at} ({op}): {why}")]
    Instruction { at: usize, op: &'static str, why: String },
}

/// What a value is at run time (docs/protocol.md, Notation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `truncated`: there is a truncation on every way from the input to here.
    Masked {
        truncated: bool,
    },
    Product,
    Weight {
        scale: u32,
    },
    Nothing,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    fraction_bits: u32,
    instructions: Vec<Instruction>,
}

impl Program {
    /// Reads and checks a program.
    pub fn parse(bytes: &[u8]) -> Result<Program, ProgramError> {
        let document: Document = serde_json::from_slice(bytes)?;
        if document.version != 1 {
            return Err(ProgramError::Version(document.version));
        }
        if document.fraction_bits != FRACTION_BITS {
            return Err(ProgramError::FractionBits(document.fraction_bits));
        }
        let instructions = document.instructions;
        if instructions.is_empty() || instructions.len() > MAX_INSTRUCTIONS {
            return Err(ProgramError::Length(instructions.len()));
        }
        let mut forms = Vec::with_capacity(instructions.len());
        for at in 0..instructions.len() {
            let form = check(&instructions, &forms, at).map_err(|why| {
                ProgramError::Instruction { at, op: instructions[at].name(), why }
            })?;
            forms.push(form);
        }
        Ok(Program { instructions })
    }

    pub fn input_shape(&self) -> &[usize] {
        self.instructions[0].shape()
    }

    /// Every honest client's fixed-point value v has |v| ≤ bound.
    pub fn input_bound(&self) -> u64 {
        match self.instructions[0] {
            Instruction::Input { bound, .. } => bound,
            _ => 0,
        }
    }

    pub fn output_shape(&self) -> &[usize] {
        self.instructions.last().map_or(&[], |last| last.shape())
    }
}

impl Instruction {
    pub fn shape(&self) -> &[usize] {
        use Instruction::*;
        match self {
            Input { shape, .. }
            | Weight { shape, .. }
            | Conv2d { shape, .. }
            | Matmul { shape, .. }
            | Scale { shape, .. } => shape,
            Add { shape, .. }
            | SumPool { shape, .. }
            | MaxPool { shape, .. }
            | Reshape { shape, .. }
            | Transpose { shape, .. } => shape,
            Truncate { shape, .. } | Relu { shape, .. } | TruncateRelu { shape, .. } => shape,
            Output { shape, .. } | TruncateOutput { shape, .. } => shape,
        }
    }

    pub fn operands(&self) -> &[usize] {
        use Instruction::*;
        match self {
            Input { .. } | Weight { .. } => &[],
            Conv2d { r#in, .. } | Matmul { r#in, .. } | Add { r#in, .. } => r#in,
            Scale { r#in, .. }
            | SumPool { r#in, .. }
            | MaxPool { r#in, .. }
            | Reshape { r#in, .. }
            | Transpose { r#in, .. } => r#in,
            Truncate { r#in, .. } | Relu { r#in, .. } | TruncateRelu { r#in, .. } => r#in,
            Output { r#in, .. } | TruncateOutput { r#in, .. } => r#in,
        }
    }

    pub fn name(&self) -> &'static str {
        use Instruction::*;
        match self {
            Input { .. } => "input",
            Weight { .. } => "weight",
            Conv2d { .. } => "conv2d",
            Matmul { .. } => "matmul",
            Scale { .. } => "scale",
            Add { .. } => "add",
            SumPool { .. } => "sum_pool",
            MaxPool { .. } => "max_pool",
            Reshape { .. } => "reshape",
            Transpose { .. } => "transpose",
            Truncate { .. } => "truncate",
            Relu { .. } => "relu",
            TruncateRelu { .. } => "truncate_relu",
            Output { .. } => "output",
            TruncateOutput { .. } => "truncate_output",
        }
    }
}

/// The form of value `at`, or why the instruction is refused.
fn check(all: &[Instruction], forms: &[Form], at: usize) -> Result<Form, String> {
    use Instruction::*;
    let instruction = &all[at];
    let shape = instruction.shape();
    elements(shape).ok_or_else(|| {
        format!("shape {shape:?} is empty, has a zero, or is larger than {MAX_ELEMENTS} elements")
    })?;
    if let Some(later) = instruction.operands().iter().find(|i| **i >= at) {
        return Err(format!("operand {later} is not an earlier instruction"));
    }
    let last = at + 1 == all.len();
    if last != matches!(instruction, Output { .. } | TruncateOutput { .. }) {
        return Err("a program ends with its one output".into());
    }
    if (at == 0) != matches!(instruction, Input { .. }) {
        return Err("a program begins with its one input".into());
    }
    let masked = |i: usize| {
        expect(matches!(forms[i], Form::Masked { .. }), i, "a masked value")
            .map(|()| all[i].shape())
    };
    let product =
        |i: usize| expect(forms[i] == Form::Product, i, "a product").map(|()| all[i].shape());
    let weight = |i: usize| {
        expect(forms[i] == Form::Weight { scale: FRACTION_BITS }, i, "a weight of scale 16")
            .map(|()| all[i].shape())
    };
    let shift_in_range = |shift: u32| {
        if (1..=MAX_SHIFT).contains(&shift) {
            Ok(())
        } else {
            Err(format!("shift {shift} is not in 1 … {MAX_SHIFT}"))
        }
    };
    let (result, form): (Shape, Form) = match instruction {
        Input { shape, bound } => {
            if *bound == 0 || *bound >= 1 << 31 {
                return Err(format!("bound {bound} is not in 1 … 2^31 - 1"));
            }
            (shape.clone(), Form::Masked { truncated: false })
        }
        Weight { shape, scale } => {
            if !(FRACTION_BITS..62).contains(scale) {
                return Err(format!("scale {scale} is not in {FRACTION_BITS} … 61"));
            }
            (shape.clone(), Form::Weight { scale: *scale })
        }
        Conv2d { r#in: [x, w], stride, .. } => {
            (convolved(masked(*x)?, weight(*w)?, *stride)?, Form::Product)
        }
        Matmul { r#in: [x, w], .. } => match (masked(*x)?, weight(*w)?) {
            ([k], [rows, n]) if k == rows => (vec![*n], Form::Product),
            (x, w) => return Err(format!("{x:?} times {w:?} is not a matrix product of a row")),
        },
        Scale { r#in: [x], factor, .. } => {
            if *factor == 0 {
                return Err("factor is zero".into());
            }
            (masked(*x)?.to_vec(), Form::Product)
        }
        Add { r#in: [z, w], .. } => {
            expect(
                matches!(forms[*w], Form::Weight { scale } if scale > FRACTION_BITS),
                *w,
                "a bias (a weight of a product's scale)",
            )?;
            let z = product(*z)?;
            if all[*w].shape() != &z[z.len() - 1..] {
                return Err(format!(
                    "a bias of shape {:?} does not fit the last axis of {z:?}",
                    all[*w].shape()
                ));
            }
            (z.to_vec(), Form::Product)
        }
        SumPool { r#in: [x], window, dilation, stride, .. } => {
            (pooled(masked(*x)?, *window, *dilation, *stride)?, forms[*x])
        }
        MaxPool { r#in: [x], window, stride, .. } => {
            (pooled(masked(*x)?, *window, [1, 1], *stride)?, forms[*x])
        }
        Reshape { r#in: [x], shape } => {
            if elements(masked(*x)?) != elements(shape) {
                return Err(format!("{:?} cannot be reshaped to {shape:?}", all[*x].shape()));
            }
            (shape.clone(), forms[*x])
        }
        Transpose { r#in: [x], perm, .. } => {
            let from = masked(*x)?;
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if !sorted.iter().copied().eq(0..from.len()) {
                return Err(format!(
                    "perm {perm:?} is not a permutation of the {} axes",
                    from.len()
                ));
            }
            (perm.iter().map(|p| from[*p]).collect(), forms[*x])
        }
        Truncate { r#in: [z], shift, .. } | TruncateRelu { r#in: [z], shift, .. } => {
            shift_in_range(*shift)?;
            (product(*z)?.to_vec(), Form::Masked { truncated: true })
        }
        Relu { r#in: [x], .. } => (masked(*x)?.to_vec(), forms[*x]),
        Output { r#in: [x], .. } => {
            let result = masked(*x)?.to_vec();
            expect(
                forms[*x] == Form::Masked { truncated: true },
                *x,
                "truncated since the input: only a truncated value may be output",
            )?;
            (result, Form::Nothing)
        }
        TruncateOutput { r#in: [z], shift, .. } => {
            shift_in_range(*shift)?;
            (product(*z)?.to_vec(), Form::Nothing)
        }
    };
    if result != shape {
        return Err(format!("its shape is {result:?}, the program says {shape:?}"));
    }
    Ok(form)
}

fn expect(ok: bool, operand: usize, what: &str) -> Result<(), String> {
    if ok {
        Ok(())
    } else {
        Err(format!("operand {operand} is not {what}"))
    }
}

/// The number of elements, or nothing if there are none or too many.
fn elements(shape: &[usize]) -> Option<usize> {
    let product = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
    (!shape.is_empty() && (1..=MAX_ELEMENTS).contains(&product)).then_some(product)
}

fn convolved(x: &[usize], w: &[usize], stride: [usize; 2]) -> Result<Shape, String> {
    match (x, w) {
        ([h, width, c], [kh, kw, ci, o])
            if c == ci && kh <= h && kw <= width && stride.iter().all(|s| *s > 0) =>
        {
            Ok(vec![(h - kh) / stride[0] + 1, (width - kw) / stride[1] + 1, *o])
        }
        _ => Err(format!(
            "a kernel of shape {w:?} with stride {stride:?} does not fit an image of shape {x:?}"
        )),
    }
}

fn pooled(
    x: &[usize],
    window: [usize; 2],
    dilation: [usize; 2],
    stride: [usize; 2],
) -> Result<Shape, String> {
    let refuse =
        || format!("window {window:?}, dilation {dilation:?}, stride {stride:?} do not fit {x:?}");
    let [h, w, c] = x else { return Err(refuse()) };
    let side = |size: usize, i: usize| {
        let span = window[i].checked_sub(1)?.checked_mul(dilation[i])?.checked_add(1)?;
        (dilation[i] > 0 && stride[i] > 0).then_some(())?;
        Some(size.checked_sub(span)? / stride[i] + 1)
    };
    Ok(vec![side(*h, 0).ok_or_else(refuse)?, side(*w, 1).ok_or_else(refuse)?, *c])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENSE: &str = r#"{"fraction_bits":16,"instructions":[
        {"bound":65536,"op":"input","shape":[3]},{"op":"weight","scale":16,"shape":[3,2]},{"in":[0,1],"op":"matmul","shape":[2]},
        {"op":"weight","scale":32,"shape":[2]},{"in":[2,3],"op":"add","shape":[2]},{"in":[4],"op":"truncate_output","shape":[2],"shift":16}],"version":1}"#;

    fn refusal(from: &str, to: &str) -> String {
        assert!(DENSE.contains(from));
        Program::parse(DENSE.replace(from, to).as_bytes()).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_dense_layer_is_accepted() {
        let program = Program::parse(DENSE.as_bytes()).expect("valid");
        assert_eq!(
            (program.input_shape(), program.output_shape(), program.input_bound()),
            (&[3][..], &[2][..], 65536)
        );
    }

    #[test]
    fn what_does_not_follow_the_table_is_refused_with_the_instruction() {
        assert!(refusal(r#""version":1"#, r#""version":2"#).contains("version 2"));
        assert!(refusal(r#""shape":[3,2]"#, r#""shape":[4,2]"#).contains("instruction 2 (matmul)"));
        assert!(refusal(r#""in":[0,1]"#, r#""in":[0,5]"#).contains("not an earlier instruction"));
        assert!(refusal(r#""in":[0,1]"#, r#""in":[1,0]"#).contains("not a masked value"));
        assert!(refusal(r#""scale":32"#, r#""scale":16"#).contains("not a bias"));
        assert!(refusal(r#""shift":16"#, r#""shift":32"#).contains("shift 32"));
        assert!(refusal(r#""op":"truncate_output""#, r#""op":"truncate""#)
            .contains("ends with its one output"));
        assert!(refusal(r#""op":"matmul""#, r#""op":"reveal""#).contains("reveal"));
        assert!(refusal(r#""shift":16"#, r#""shift":16,"to":"bob""#).contains("to"));
        assert!(refusal(r#""shape":[3,2]"#, r#""shape":[3,4611686018427387904]"#)
            .contains("larger than"));
    }

    /// The program of an input of shape (5, 4, 2) and these instructions after it.
    fn after_an_image(instructions: &str) -> Result<Program, String> {
        let input = r#"{"bound":65536,"op":"input","shape":[5,4,2]}"#;
        let program = format!(
            r#"{{"fraction_bits":16,"instructions":[{input},{instructions}],"version":1}}"#
        );
        Program::parse(program.as_bytes()).map_err(|why| why.to_string())
    }

    /// As above, with this instruction as number 1, then truncated and output.
    fn with(instruction: &str, shape: &str) -> Result<Program, String> {
        let rest = format!(
            r#"{{"factor":1,"in":[1],"op":"scale","shape":{shape}}},{{"in":[2],"op":"truncate_output","shape":{shape},"shift":16}}"#
        );
        after_an_image(&format!("{instruction},{rest}"))
    }

    #[test]
    fn max_pooling_takes_whole_windows_of_an_image() {
        let pool = |window: &str, stride: &str, shape: &str| {
            with(
                &format!(
                    r#"{{"in":[0],"op":"max_pool","shape":{shape},"stride":{stride},"window":{window}}}"#
                ),
                shape,
            )
        };
        let program = pool("[2,3]", "[2,1]", "[2,2,2]").expect("valid");
        assert_eq!(
            (program.instructions[1].name(), program.instructions[1].operands()),
            ("max_pool", &[0][..])
        );
        for (window, stride) in
            [("[6,1]", "[1,1]"), ("[0,2]", "[1,1]"), ("[2,2]", "[0,1]"), ("[2,2]", "[1,0]")]
        {
            let why = pool(window, stride, "[1,1,2]").expect_err("must be refused");
            assert!(
                why.contains("instruction 1 (max_pool)") && why.contains("do not fit [5, 4, 2]"),
                "{why}"
            );
        }
        assert!(pool("[2,2]", "[1,1]", "[4,4,2]")
            .expect_err("must be refused")
            .contains("its shape is [4, 3, 2]"));
        assert!(with(r#"{"dilation":[1,1],"in":[0],"op":"max_pool","shape":[4,3,2],"stride":[1,1],"window":[2,2]}"#, "[4,3,2]").is_err());
        let flat = r#"{"in":[0],"op":"reshape","shape":[40]},{"in":[1],"op":"max_pool","shape":[40],"stride":[1,1],"window":[1,1]},"#;
        let why = after_an_image(&format!(r#"{flat}{{"in":[2],"op":"output","shape":[40]}}"#))
            .expect_err("must be refused");
        assert!(why.contains("instruction 2 (max_pool)"), "{why}");
        let of_a_product = r#"{"factor":3,"in":[0],"op":"scale","shape":[5,4,2]},{"in":[1],"op":"max_pool","shape":[5,4,2],"stride":[1,1],"window":[1,1]},"#;
        let why =
            after_an_image(&format!(r#"{of_a_product}{{"in":[2],"op":"output","shape":[5,4,2]}}"#))
                .expect_err("must be refused");
        assert!(why.contains("operand 1 is not a masked value"), "{why}");
    }

    #[test]
    fn only_what_was_truncated_since_the_input_is_output() {
        let output = |last: usize| format!(r#",{{"in":[{last}],"op":"output","shape":[5,4,2]}}"#);
        for local in [
            r#"{"in":[0],"op":"relu","shape":[5,4,2]}"#,
            r#"{"in":[0],"op":"reshape","shape":[5,4,2]}"#,
            r#"{"in":[0],"op":"transpose","perm":[0,1,2],"shape":[5,4,2]}"#,
            r#"{"in":[0],"op":"max_pool","shape":[5,4,2],"stride":[1,1],"window":[1,1]}"#,
            r#"{"dilation":[1,1],"in":[0],"op":"sum_pool","shape":[5,4,2],"stride":[1,1],"window":[1,1]}"#,
        ] {
            let why =
                after_an_image(&format!("{local}{}", output(1))).expect_err("must be refused");
            assert!(
                why.contains("instruction 2 (output): operand 1 is not truncated since the input"),
                "{why}"
            );
            for truncation in ["truncate", "truncate_relu"] {
                let truncated = format!(
                    r#"{{"factor":3,"in":[0],"op":"scale","shape":[5,4,2]}},{{"in":[1],"op":"{truncation}","shape":[5,4,2],"shift":1}}"#
                );
                let local = local.replace(r#""in":[0]"#, r#""in":[2]"#);
                after_an_image(&format!("{truncated},{local}{}", output(3))).expect("valid");
            }
        }
        assert!(after_an_image(&output(0)[1..])
            .expect_err("must be refused")
            .contains("not truncated since the input"));
    }

    #[test]
    fn what_does_not_depend_on_the_input_is_not_output() {
        let weight = r#"{"op":"weight","scale":16,"shape":[2]},"#;
        for output in [
            r#"{"in":[1],"op":"output","shape":[2]}"#,
            r#"{"in":[1],"op":"truncate_output","shape":[2],"shift":16}"#,
        ] {
            let why = after_an_image(&format!("{weight}{output}")).expect_err("must be refused");
            assert!(why.contains("instruction 2") && why.contains("operand 1 is not a"), "{why}");
        }
        let pooled = r#"{"in":[1],"op":"relu","shape":[2]},{"in":[2],"op":"output","shape":[2]}"#;
        assert!(after_an_image(&format!("{weight}{pooled}"))
            .expect_err("must be refused")
            .contains("operand 1 is not a masked value"));
        let second = r#"{"bound":1,"op":"input","shape":[2]},{"in":[1],"op":"output","shape":[2]}"#;
        assert!(after_an_image(second).expect_err("must be refused").contains("one input"));
    }

    #[test]
    fn a_program_has_one_output_and_names_nobody() {
        let truncated = r#"{"factor":3,"in":[0],"op":"scale","shape":[5,4,2]},{"in":[1],"op":"truncate","shape":[5,4,2],"shift":1},"#;
        let output = r#"{"in":[2],"op":"output","shape":[5,4,2]}"#;
        after_an_image(&format!("{truncated}{output}")).expect("valid");
        assert!(after_an_image(&format!("{truncated}{output},{output}"))
            .expect_err("must be refused")
            .contains("one output"));
        assert!(after_an_image(truncated.trim_end_matches(','))
            .expect_err("must be refused")
            .contains("one output"));
        let addressed = output.replace(r#""op""#, r#""client":0,"op""#);
        assert!(after_an_image(&format!("{truncated}{addressed}"))
            .expect_err("must be refused")
            .contains("client"));
    }
}
