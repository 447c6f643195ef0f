//! Numbers between bounds.

use fastrand::Rng;
use serde_json::{Map, Number, Value};

/// How far from its bound a number lies that has only one.
const SPREAD: u8 = 100;

/// An integer.
pub(super) fn integer(schema: &Map<String, Value>, rng: &mut Rng) -> Result<Value, String> {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or("");
    let (narrowest, widest) = range_of(format);
    let whole = |word: &str, round: fn(f64) -> f64| {
        let bound = schema.get(word)?;
        exact(bound).or_else(|| as_integer(round(bound.as_f64()?)))
    };
    let low = [
        whole("minimum", f64::ceil),
        whole("exclusiveMinimum", f64::floor).map(|bound| bound + 1),
    ];
    let high = [
        whole("maximum", f64::floor),
        whole("exclusiveMaximum", f64::ceil).map(|bound| bound - 1),
    ];
    let low = low.into_iter().flatten().max();
    let high = high.into_iter().flatten().min();
    let (low, high) = match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, low.saturating_add(SPREAD.into())),
        (None, Some(high)) => (high.saturating_sub(SPREAD.into()), high),
        (None, None) => (0, SPREAD.into()),
    };
    let step = match schema.get("multipleOf").map(|step| (step, exact(step))) {
        None => 1,
        Some((_, Some(step))) if step > 0 => step,
        Some((step, _)) => return Err(format!("a multiple of {step} is not known here")),
    };
    let (low, high) = (low.max(narrowest), high.min(widest));
    let (low, high) = (-(-low).div_euclid(step), high.div_euclid(step));
    if low > high {
        return Err("no integer lies between its bounds".to_owned());
    }
    let value = rng.i128(low..=high) * step;
    let number = Number::from_i128(value).ok_or("its integers do not fit into 64 bits")?;
    Ok(Value::Number(number))
}

/// Any number.
pub(super) fn float(schema: &Map<String, Value>, rng: &mut Rng) -> Result<Value, String> {
    if schema.contains_key("multipleOf") {
        return integer(schema, rng);
    }
    let bound = |word: &str| schema.get(word).and_then(Value::as_f64);
    let tighter = |one: &str, other: &str, tighter: fn(f64, f64) -> f64| {
        let bounds = [bound(one), bound(other)];
        bounds.into_iter().flatten().reduce(tighter)
    };
    let low = tighter("minimum", "exclusiveMinimum", f64::max);
    let high = tighter("maximum", "exclusiveMaximum", f64::min);
    let spread = f64::from(SPREAD);
    let (low, high) = match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, low + spread),
        (None, Some(high)) => (high - spread, high),
        (None, None) => (0.0, spread),
    };
    if low > high {
        return Err("no number lies between its bounds".to_owned());
    }
    let exact = low + (high - low) * (0.05 + 0.9 * rng.f64());
    let short = (exact * 100.0).round() / 100.0;
    let value = if short > low && short < high {
        short
    } else {
        exact
    };
    let number = Number::from_f64(value).ok_or("its bounds are not finite")?;
    Ok(Value::Number(number))
}

fn exact(number: &Value) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or_else(|| number.as_u64().map(i128::from))
}

/// A float that has no fraction.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is cut off lies beyond every integer that is made here"
)]
fn as_integer(float: f64) -> Option<i128> {
    float.is_finite().then_some(float as i128)
}

/// What a format of Rust's integers allows, and serde_json can write.
fn range_of(format: &str) -> (i128, i128) {
    match format {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint" | "uint64" | "uint128" => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), u64::MAX.into()),
    }
}
