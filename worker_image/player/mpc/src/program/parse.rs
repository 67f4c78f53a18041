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

use super::instruction::Instruction;
use super::public::Public;
use crate::ops::form::{elements, present, Earlier, Form, FRACTION_BITS, MAX_ELEMENTS};
use crate::ops::input::ClientInput;

const MAX_INSTRUCTIONS: usize = 4096;

/// A checked program: shapes, forms and order are right, so that the parties can index without
/// looking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub(crate) instructions: Vec<Instruction>,
    public: Public,
}

/// Why a program is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error(
        "the program is not valid JSON of a known form: {0}; share the model again with a share \
         step of this version"
    )]
    Format(#[from] serde_json::Error),
    #[error(
        "the program is of version {0}, this player runs version 1; use a share step and players \
         of one release"
    )]
    Version(u32),
    #[error("the program uses {0} fraction bits, this player {FRACTION_BITS}")]
    FractionBits(u32),
    #[error("the program has {0} instructions; a player takes 1 to {MAX_INSTRUCTIONS}")]
    Length(usize),
    #[error("instruction {at} ({op}): {why}")]
    Instruction { at: usize, op: &'static str, why: String },
    #[error("what the program says to clients (public): {0}")]
    Public(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    fraction_bits: u32,
    instructions: Vec<Instruction>,
    #[serde(default, deserialize_with = "present")]
    public: Option<Public>,
}

impl Program {
    /// Reads and checks a program.
    pub fn parse(bytes: &[u8]) -> Result<Program, ProgramError> {
        let document = serde_json::from_slice(bytes)?;
        let Document { version, fraction_bits, instructions, public } = document;
        if version != 1 {
            return Err(ProgramError::Version(version));
        }
        if fraction_bits != FRACTION_BITS {
            return Err(ProgramError::FractionBits(fraction_bits));
        }
        if instructions.is_empty() || instructions.len() > MAX_INSTRUCTIONS {
            return Err(ProgramError::Length(instructions.len()));
        }

        let shapes: Vec<&[usize]> = instructions.iter().map(|i| i.op().shape()).collect();
        let mut forms = Vec::with_capacity(instructions.len());
        for (at, instruction) in instructions.iter().enumerate() {
            let earlier = Earlier { shapes: &shapes[..at], forms: &forms };
            let last = at + 1 == instructions.len();
            let form = check(instruction, &earlier, last);
            let op = instruction.op().name();
            forms.push(form.map_err(|why| ProgramError::Instruction { at, op, why })?);
        }
        let output = shapes.last().copied().unwrap_or(&[]);
        public.iter().try_for_each(|public| public.check(output)).map_err(ProgramError::Public)?;
        Ok(Program { instructions, public: public.unwrap_or_default() })
    }

    /// Shape and operands of each instruction, in order.
    pub fn instructions(&self) -> impl Iterator<Item = (&[usize], &[usize])> {
        self.instructions.iter().map(|i| (i.op().shape(), i.op().operands()))
    }

    /// Of one row.
    pub fn input_shape(&self) -> &[usize] {
        self.instructions[0].op().shape()
    }

    /// Every honest client's fixed-point value v has |v| ≤ bound,
    pub fn input_bound(&self) -> u64 {
        self.input().map_or(0, |input| input.bound)
    }

    /// and v ≥ low,
    pub fn input_low(&self) -> i64 {
        self.input().map_or(0, ClientInput::low)
    }

    /// and v ≤ high.
    pub fn input_high(&self) -> i64 {
        self.input().map_or(0, ClientInput::high)
    }

    fn input(&self) -> Option<&ClientInput> {
        match &self.instructions[0] {
            Instruction::Input(input) => Some(input),
            _ => None,
        }
    }

    /// What it says to clients.
    pub fn public(&self) -> &Public {
        &self.public
    }

    /// Of one row.
    pub fn output_shape(&self) -> &[usize] {
        self.instructions.last().map_or(&[], |last| last.op().shape())
    }
}

/// The form of the instruction's value, or why the instruction is refused.
fn check(instruction: &Instruction, earlier: &Earlier<'_>, last: bool) -> Result<Form, String> {
    let (op, at) = (instruction.op(), earlier.forms.len());
    let shape = op.shape();
    if elements(shape).is_none() {
        let limit = format!("larger than {MAX_ELEMENTS} elements");
        return Err(format!("shape {shape:?} is empty, has a zero, or is {limit}"));
    }
    if let Some(later) = op.operands().iter().find(|operand| **operand >= at) {
        return Err(format!("operand {later} is not an earlier instruction"));
    }
    if last != instruction.is_output() {
        return Err("a program ends with its one output".into());
    }
    if (at == 0) != instruction.is_input() {
        return Err("a program begins with its one input".into());
    }

    let (result, form) = op.check(earlier)?;
    if result != shape {
        return Err(format!("its shape is {result:?}, the program says {shape:?}"));
    }
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENSE: &str = r#"{"fraction_bits":16,"instructions":[
        {"bound":65536,"op":"input","shape":[3]},
        {"op":"weight","scale":16,"shape":[3,2]},
        {"in":[0,1],"op":"matmul","shape":[2]},
        {"op":"weight","scale":32,"shape":[2]},
        {"in":[2,3],"op":"add","shape":[2]},
        {"in":[4],"op":"truncate_output","shape":[2],"shift":16}],"version":1}"#;

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
            r#"{{"factor":1,"in":[1],"op":"scale","shape":{shape}}},
            {{"in":[2],"op":"truncate_output","shape":{shape},"shift":16}}"#
        );
        after_an_image(&format!("{instruction},{rest}"))
    }

    #[test]
    fn max_pooling_takes_whole_windows_of_an_image() {
        let pool = |window: &str, stride: &str, shape: &str| {
            let fields = format!(r#""shape":{shape},"stride":{stride},"window":{window}"#);
            with(&format!(r#"{{"in":[0],"op":"max_pool",{fields}}}"#), shape)
        };
        let program = pool("[2,3]", "[2,1]", "[2,2,2]").expect("valid");
        assert_eq!(
            (program.instructions[1].op().name(), program.instructions[1].op().operands()),
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
        let dilated = r#"{"dilation":[1,1],"in":[0],"op":"max_pool",
            "shape":[4,3,2],"stride":[1,1],"window":[2,2]}"#;
        assert!(with(dilated, "[4,3,2]").is_err());
        let flat = r#"{"in":[0],"op":"reshape","shape":[40]},
            {"in":[1],"op":"max_pool","shape":[40],"stride":[1,1],"window":[1,1]},"#;
        let why = after_an_image(&format!(r#"{flat}{{"in":[2],"op":"output","shape":[40]}}"#))
            .expect_err("must be refused");
        assert!(why.contains("instruction 2 (max_pool)"), "{why}");
        let of_a_product = r#"{"factor":3,"in":[0],"op":"scale","shape":[5,4,2]},
            {"in":[1],"op":"max_pool","shape":[5,4,2],"stride":[1,1],"window":[1,1]},"#;
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
            r#"{"dilation":[1,1],"in":[0],"op":"sum_pool",
            "shape":[5,4,2],"stride":[1,1],"window":[1,1]}"#,
        ] {
            let why =
                after_an_image(&format!("{local}{}", output(1))).expect_err("must be refused");
            assert!(
                why.contains("instruction 2 (output): operand 1 is not truncated since the input"),
                "{why}"
            );
            for truncation in ["truncate", "truncate_relu"] {
                let truncated = format!(
                    r#"{{"factor":3,"in":[0],"op":"scale","shape":[5,4,2]}},
                    {{"in":[1],"op":"{truncation}","shape":[5,4,2],"shift":1}}"#
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
        let truncated = r#"{"factor":3,"in":[0],"op":"scale","shape":[5,4,2]},
            {"in":[1],"op":"truncate","shape":[5,4,2],"shift":1},"#;
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

    #[test]
    fn a_sum_has_masked_operands_of_one_shape_and_is_truncated_where_both_are() {
        let scaled = concat!(
            r#"{"factor":3,"in":[0],"op":"scale","shape":[5,4,2]},"#,
            r#"{"in":[1],"op":"truncate","shape":[5,4,2],"shift":1},"#
        );
        let sum = |operands: &str, shape: &str| {
            let sum = format!(r#"{{"in":{operands},"op":"sum","shape":{shape}}}"#);
            let output = format!(r#"{{"in":[3],"op":"output","shape":{shape}}}"#);
            after_an_image(&format!("{scaled}{sum},{output}"))
        };
        sum("[2,2]", "[5,4,2]").expect("valid");
        for (operands, shape, says) in [
            ("[2,1]", "[5,4,2]", "operand 1 is not a masked value"),
            ("[2,2]", "[5,4,1]", "its shape is [5, 4, 2]"),
            ("[2,0]", "[5,4,2]", "truncated since the input"),
        ] {
            let why = sum(operands, shape).expect_err("must be refused");
            assert!(why.contains(says), "{says:?} is not in {why:?}");
        }
        let reshaped = concat!(
            r#"{"in":[0],"op":"reshape","shape":[40]},{"in":[0,1],"op":"sum","shape":[5,4,2]},"#,
            r#"{"factor":3,"in":[2],"op":"scale","shape":[5,4,2]},"#,
            r#"{"in":[3],"op":"truncate_output","shape":[5,4,2],"shift":1}"#
        );
        assert!(after_an_image(reshaped).expect_err("must be refused").contains("cannot be added"));
    }
}
