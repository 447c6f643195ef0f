//! Paths in requests are checked, normalised and refused as the Python types do it.
//!
//! `paths.json` is what those make of the same texts; `tests/python/path_vectors.py` writes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_core::{
    Command,
    codec::Format,
    contract::{Invalid, Rules, Shape},
    schema,
};
use tidings_rpc::{AbsolutePath, RelativePath};

#[derive(Command, Serialize, Deserialize, JsonSchema)]
#[command(crate = tidings_core)]
struct Mount {
    absolute: Option<AbsolutePath>,
    relative: Option<RelativePath>,
}

static SHAPE: Shape = Shape::new(schema::of_input::<Mount>, Rules::Lax);

fn outcome(member: &str, text: &str) -> Value {
    let body = json!({member: text}).to_string();
    match SHAPE.decode::<Mount>(Format::Json, body.as_bytes()) {
        Ok(mount) => json!({"path": json!(mount)[member]}),
        Err(error) => {
            let invalid: &Invalid = error.source_ref().unwrap();
            let violation = &invalid.violations()[0];
            assert_eq!((invalid.violations().len(), &*violation.path), (1, member));
            json!({"error": violation.message, "type": violation.code})
        }
    }
}

#[test]
fn paths_are_read_as_python_reads_them() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("paths.json")).unwrap();
    for vector in &vectors {
        let text = vector["text"].as_str().unwrap();
        for member in ["absolute", "relative"] {
            assert_eq!(outcome(member, text), vector[member], "{member} {text:?}");
        }
    }
}
