//! The instruction table against contract/instructions.json, by the programs of contract/programs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{json, Value};

use super::contract::{json as contents, path};
use crate::ops::form::{Earlier, Form};
use crate::program::instruction::Instruction;
use crate::program::Program;

/// The programs of a folder, by file name.
fn programs(folder: &str) -> Vec<(PathBuf, Value)> {
    let folder = path("programs").join(folder);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let read = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.expect("readable").path();
        let contents = contents(&path);
        (path, contents)
    };
    let programs: Vec<_> = files.map(read).collect();
    assert!(!programs.is_empty(), "{}", folder.display());
    programs
}

pub(super) fn accepted() -> Vec<Value> {
    programs("accepted").into_iter().map(|(_, program)| program).collect()
}

fn parse(program: &Value) -> Result<Program, String> {
    Program::parse(program.to_string().as_bytes()).map_err(|why| why.to_string())
}

fn list(value: &Value) -> Vec<&str> {
    let words = value.as_array().expect("a list").iter();
    words.map(|word| word.as_str().expect("a string")).collect()
}

/// The rows of the contract, by the word of the instruction.
fn table() -> BTreeMap<String, Value> {
    let rows = contents(&path("instructions.json"));
    let rows = rows.as_array().expect("a list of rows").iter();
    rows.map(|row| (row["op"].as_str().expect("a word").to_owned(), row.clone())).collect()
}

/// The forms that a row has for so many operands: "..." repeats the form before it.
fn operand_forms(row: &Value, count: usize) -> Vec<&str> {
    let mut forms = list(&row["operands"]);
    if forms.last() == Some(&"...") {
        forms.pop();
        forms.resize(count.max(forms.len()), forms[forms.len() - 1]);
    }
    forms
}

/// The keys that a row may leave out.
fn optional(row: &Value) -> Vec<&str> {
    row.get("optional").map_or_else(Vec::new, list)
}

/// As programs spell a variant.
fn spelled(variant: &str) -> String {
    let mut word = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}

/// The word that the contract has for a form.
fn form(form: Form) -> Value {
    match form {
        Form::Masked { .. } => json!("masked"),
        Form::Product => json!("product"),
        Form::Weight { .. } => json!("weight"),
        Form::Nothing => Value::Null,
    }
}

/// The form of every value of a program.
fn forms(program: &Program) -> Vec<Value> {
    let shapes: Vec<_> = program.instructions().map(|(shape, _)| shape).collect();
    let mut forms = vec![];
    for (at, instruction) in program.instructions.iter().enumerate() {
        let earlier = Earlier { shapes: &shapes[..at], forms: &forms };
        let (_, form) = instruction.op().check(&earlier).expect("accepted before");
        forms.push(form);
    }
    forms.into_iter().map(form).collect()
}

#[test]
fn the_instructions_are_those_of_the_contract() {
    let known: BTreeSet<_> = Instruction::VARIANTS.iter().map(|name| spelled(name)).collect();
    assert_eq!(known, table().into_keys().collect());
}

#[test]
fn the_accepted_programs_are_accepted_and_have_every_instruction() {
    let mut used = BTreeSet::new();
    for (path, program) in programs("accepted") {
        let parsed = parse(&program).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        for (at, instruction) in parsed.instructions.iter().enumerate() {
            assert_eq!(program["instructions"][at]["op"], instruction.op().name());
            used.insert(instruction.op().name().to_owned());
        }
    }
    assert_eq!(used, table().into_keys().collect());
}

#[test]
fn the_refused_programs_are_refused_with_the_reason() {
    for (path, case) in programs("refused") {
        let why = parse(&case["program"]).expect_err(&path.display().to_string());
        let words = list(&case["refusal"]);
        assert!(
            !words.is_empty() && words.iter().all(|word| why.contains(word)),
            "{words:?}: {why}"
        );
    }
}

#[test]
fn values_have_the_forms_of_the_contract() {
    let table = table();
    for program in accepted().iter().map(|program| parse(program).expect("accepted")) {
        let forms = forms(&program);
        for (at, instruction) in program.instructions.iter().enumerate() {
            let row = &table[instruction.op().name()];
            let operands: Vec<Value> =
                instruction.op().operands().iter().map(|operand| forms[*operand].clone()).collect();
            assert_eq!(operands, operand_forms(row, operands.len()), "{row}");
            assert_eq!(forms[at], row["result"], "{row}");
        }
    }
}

/// Each accepted program with each operand replaced by an earlier value of another form.
#[test]
fn an_operand_of_another_form_is_refused() {
    for program in accepted() {
        let forms = forms(&parse(&program).expect("accepted"));
        for (at, line) in program["instructions"].as_array().expect("a list").iter().enumerate() {
            let operands = line["in"].as_array().map_or(0, Vec::len);
            for (operand, other) in (0..operands).flat_map(|i| (0..at).map(move |o| (i, o))) {
                let mut altered = program.clone();
                let index = &mut altered["instructions"][at]["in"][operand];
                let right = index.as_u64().expect("an index") as usize;
                *index = json!(other);
                let refused = parse(&altered).is_err();
                assert!(refused || forms[other] == forms[right], "{line}: operand {other}");
            }
        }
    }
}

#[test]
fn an_instruction_has_the_keys_of_the_contract_needs_each_and_takes_no_other() {
    let (table, mut left_out) = (table(), BTreeSet::new());
    left_out.extend(
        table.iter().flat_map(|(op, row)| optional(row).into_iter().map(move |key| (op, key))),
    );
    for program in accepted() {
        for (at, line) in program["instructions"].as_array().expect("a list").iter().enumerate() {
            let (op, row) =
                table.get_key_value(line["op"].as_str().expect("a word")).expect("a row");
            let operands = if list(&row["operands"]).is_empty() { vec![] } else { vec!["in"] };
            let keys = [vec!["op", "shape"], operands, list(&row["keys"])].concat();
            let mut found: BTreeSet<&str> =
                line.as_object().expect("an object").keys().map(String::as_str).collect();
            for key in optional(row) {
                if found.remove(key) {
                    left_out.remove(&(op, key));
                }
            }
            assert_eq!(found, keys.iter().copied().collect());

            for key in keys {
                let mut altered = program.clone();
                altered["instructions"][at].as_object_mut().expect("an object").remove(key);
                assert!(parse(&altered).is_err(), "{line} without {key}");
            }

            let mut altered = program.clone();
            altered["instructions"][at]["client"] = json!(0);
            assert!(parse(&altered).is_err(), "{line} with a key more");
        }
    }
    assert!(left_out.is_empty(), "no accepted program has {left_out:?}");
}

/// Old programs have none of these keys.
#[test]
fn what_a_program_says_to_clients_is_carried_as_it_is() {
    for program in accepted() {
        let parsed = parse(&program).expect("accepted");
        let public = serde_json::to_value(parsed.public()).expect("JSON");
        assert_eq!(&public, program.get("public").unwrap_or(&json!({})));

        let input = &program["instructions"][0];
        let bound = parsed.input_bound() as i64;
        let end = |key: &str, without: i64| input.get(key).map_or(Some(without), Value::as_i64);
        assert_eq!(Some(parsed.input_low()), end("low", -bound));
        assert_eq!(Some(parsed.input_high()), end("high", bound));
    }
}
