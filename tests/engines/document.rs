//! States whose bytes are hard to keep, and versions that are hard to count.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use synckairos_state::document::MAX_VERSION;

/// A state, but for its session id.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// The version that the caller's state carries.
    version: Option<u64>,
    /// Members of its own, each as it is written.
    own: Vec<String>,
}

/// Members that a parser, Lua, cjson or a search for `"version"` could stumble over.
const HARD: [&str; 12] = [
    r#""empty":[],"none":{},"":null"#,
    r#""big":9007199254740993,"exponent":1e400,"minus":-0"#,
    r#""half":"\ud83d","whole":"\ud83d\ude00","raw":"😀""#,
    "\"nul\":\"\\u0000\",\"controls\":\"\\u0001\\u007f\\u2028\",\"raw\":\"\u{7f}\u{2028}\u{feff}\"",
    r#""slash":"\/</script>","quote":"\"","backslash":"\\""#,
    r#""nested":{"version":3,"list":[{"version":4}]}"#,
    r#""text":"{\"version\":5,\"}""#,
    r#" "spaces" : [ 1 , 2 ] "#,
    r#""v\u0065rsion":7"#,
    r#""version":8"#,
    r#""updated_at":"1999-12-31T23:59:59.999Z","created_at":null"#,
    r#""deep":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"#,
];

impl Document {
    /// The JSON text of the state.
    pub fn text(&self, session_id: &str) -> String {
        let id = serde_json::Value::from(session_id);
        let version = self.version.map(|version| format!(r#""version":{version},"#));
        let own: String = self.own.iter().map(|own| format!(",{own}")).collect();
        format!(
            r#"{{{}"session_id":{id},"sync_mode":"global","status":"running","participants":[]{own}}}"#,
            version.unwrap_or_default(),
        )
    }
}

pub fn document() -> impl Strategy<Value = Document> {
    let version = prop_oneof![
        4 => Just(None),
        2 => (0..50_u64).prop_map(Some),
        2 => (MAX_VERSION - 4..MAX_VERSION).prop_map(Some),
        1 => prop::sample::select(vec![1 << 31, (1 << 32) - 1, 99_999_999_999_999, 1 << 52]).prop_map(Some),
    ];
    let own = prop_oneof![
        3 => prop::sample::select(HARD.to_vec()).prop_map(String::from),
        1 => (any::<String>(), json_text()).prop_map(|(name, value)| {
            format!("{}:{value}", serde_json::Value::from(format!("own {name}")))
        }),
    ];
    (version, vec(own, 0..3)).prop_map(|(version, own)| Document { version, own })
}

/// Any JSON text.
pub fn json_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::from("null")),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        prop::sample::select(HARD.to_vec()).prop_map(|members| format!("{{{members}}}")),
        option::of(any::<i64>()).prop_map(|number| format!("[{}]", serde_json::json!(number))),
        (1..2000_usize).prop_map(|size| format!(r#""{}""#, "x".repeat(size))),
    ]
}
