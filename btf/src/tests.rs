//! Paths through types that were written for it, and damage.

use super::*;
use ktstr_testing::BtfWriter;
use std::sync::Arc;

/// A runqueue as small as it can be, and types around it.
fn written() -> BtfWriter {
    let mut btf = BtfWriter::default();
    let u32_ = btf.int("unsigned int", 4, 0);
    let u64_ = btf.int("long unsigned int", 8, 0);
    let int = btf.int("int", 4, 1);
    let char_ = btf.int("char", 1, 1);
    let flag = btf.int("_Bool", 1, 4);
    let comm = btf.array(char_, 16);
    let state = btf.enumeration("task_state", &[("DEAD", -1), ("RUNNING", 0), ("SLEEPING", 1)]);
    let task =
        btf.structure("task_struct", 28, &[("comm", comm, 0, 0), ("pid", int, 128, 0), ("state", state, 160, 0)]);
    let to_task = btf.pointer(task);
    let halves = btf.structure("", 8, &[("low", u32_, 0, 0), ("high", u32_, 32, 0)]);
    let clock = btf.union("", 8, &[("whole", u64_, 0, 0), ("", halves, 0, 0)]);
    let depth = btf.structure("dsq", 8, &[("nr", u32_, 0, 0), ("closed", flag, 32, 0)]);
    let dsqs = btf.array(depth, 3);
    let bits = btf.structure("bits", 4, &[("low", u32_, 0, 3), ("mid", int, 3, 7), ("up", u32_, 10, 22)]);
    let alias = btf.typedef("dsqs_t", dsqs);
    let to_dsq = btf.pointer(depth);
    btf.structure(
        "rq",
        56,
        &[
            ("curr", to_task, 0, 0),
            ("", clock, 64, 0),
            ("dsqs", alias, 128, 0),
            ("bits", bits, 320, 0),
            ("more", to_dsq, 384, 0),
        ],
    );
    btf
}

fn number(bytes: u32, signed: bool) -> Shape {
    Shape::Int { bytes, signed, bits: None }
}

#[test]
fn a_path_leads_to_hops_offset_and_shape() {
    let btf = Btf::parse(written().finish()).expect("is BTF");
    let id = |name: &str| btf.find(name).expect("is there");
    let bits = |bytes, signed, bits| Shape::Int { bytes, signed, bits: Some(bits) };
    let cases = [
        ("curr", vec![], 0, Shape::Pointer { to: id("task_struct") }),
        ("curr->pid", vec![0], 16, number(4, true)),
        ("curr->comm", vec![0], 0, Shape::Text { bytes: 16 }),
        ("curr->comm[3]", vec![0], 3, number(1, true)),
        ("curr->state", vec![0], 20, Shape::Enum { id: id("task_state"), bytes: 4 }),
        ("whole", vec![], 8, number(8, false)),
        ("high", vec![], 12, number(4, false)),
        ("dsqs[2].nr", vec![], 32, number(4, false)),
        ("dsqs[0].closed", vec![], 20, Shape::Bool),
        ("dsqs", vec![], 16, Shape::Array { of: id("dsq"), count: 3 }),
        ("more[2].nr", vec![48], 16, number(4, false)),
        ("bits", vec![], 40, Shape::Struct { id: id("bits"), bytes: 4 }),
        ("bits.low", vec![], 40, bits(1, false, (0, 3))),
        ("bits.mid", vec![], 40, bits(2, true, (3, 7))),
        ("bits.up", vec![], 41, bits(3, false, (2, 22))),
    ];
    for (path, hops, offset, shape) in cases {
        assert_eq!(btf.field("rq", path), Ok(Field { hops, offset, shape }), "{path}");
    }
    assert_eq!(btf.size(id("dsqs_t")), Some(24));
}

#[test]
fn what_is_absent_is_told_from_what_does_not_fit() {
    let btf = Btf::parse(written().finish()).expect("is BTF");
    let cases = [
        ("rq", "dsq", "`rq` has no `dsq` (in `dsq`); there is `dsqs`"),
        ("rq", "curr->pin", "`task_struct` has no `pin` (in `curr->pin`); there is `pid`"),
        (
            "task_strict",
            "pid",
            "the type information has no `task_strict` (in `pid`); there is `task_struct`, `task_state`",
        ),
        ("rq", "curr.pid", "`curr.pid` cannot be read: there is a pointer before `pid`: write `->pid`"),
        ("rq", "dsqs[3].nr", "`dsqs[3].nr` cannot be read: [3] is beyond an array of 3"),
        ("rq", "whole.x", "`whole.x` cannot be read: what is before `x` has no members"),
        ("rq", "bits->low", "`bits->low` cannot be read: `->low` is not behind a pointer"),
        ("rq", "whole[1]", "`whole[1]` cannot be read: [1] is not behind an array or a pointer"),
        ("rq", "a b", "`a b` cannot be read: it is not written like `a.b`, `a->b` or `a[3]`, or a mixture of them"),
    ];
    for (name, path, expected) in cases {
        let result = btf.field(name, path);
        assert_eq!(result.clone().expect_err("refused").to_string(), expected);
        assert_eq!(present(result) == Ok(None), expected.contains("has no `"), "{path}");
    }
}

#[test]
fn bytes_become_values() {
    let btf = Btf::parse(written().finish()).expect("is BTF");
    let decode = |path: &str, bytes: &[u8]| btf.decode(&btf.field("rq", path).expect("is there").shape, bytes);
    let state = |value, name: Option<&str>| Value::Enum { value, name: name.map(str::to_owned) };
    // low 5, mid -2, up 3.
    let bits = (5u32 | 0x7e << 3 | 3 << 10).to_le_bytes();
    let cases: [(&str, &[u8], Value); 10] = [
        ("curr", &[1, 0, 0, 0, 0, 0, 0, 0xff], Value::Pointer(0xff00_0000_0000_0001)),
        ("curr->pid", &[0xfe, 0xff, 0xff, 0xff], Value::Signed(-2)),
        ("curr->comm", b"kthreadd\0\0x", Value::Text("kthreadd".into())),
        ("curr->state", &[1, 0, 0, 0], state(1, Some("SLEEPING"))),
        ("curr->state", &[0xff; 4], state(-1, Some("DEAD"))),
        ("curr->state", &[9, 0, 0, 0], state(9, None)),
        ("bits.low", &bits, Value::Unsigned(5)),
        ("bits.mid", &bits, Value::Signed(-2)),
        ("bits.up", bits.get(1..).unwrap_or_default(), Value::Unsigned(3)),
        ("dsqs[1].closed", &[1], Value::Bool(true)),
    ];
    for (path, bytes, expected) in cases {
        assert_eq!(decode(path, bytes), expected, "{path}");
    }
    assert_eq!(decode("bits.mid", &bits).number(), Some(-2));
    assert_eq!(btf.enumerator("task_state", "SLEEPING"), Some(1));
    assert_eq!(btf.enumerator("rq", "SLEEPING"), None);
}

#[test]
fn members_of_anonymous_members_belong_to_what_is_around_them() {
    let btf = Btf::parse(written().finish()).expect("is BTF");
    let members = btf.members(btf.find("rq").expect("is there"));
    let seen: Vec<(&str, u64)> = members.iter().map(|member| (member.name.as_str(), member.field.offset)).collect();
    let expected = [("curr", 0), ("whole", 8), ("low", 8), ("high", 12), ("dsqs", 16), ("bits", 40), ("more", 48)];
    assert_eq!(seen, expected);
}

#[test]
fn a_bpf_object_goes_on_where_the_kernel_ends() {
    let base = written();
    let mut split = base.split();
    let rq = Btf::parse(base.finish()).expect("is BTF");
    let u64_ = split.int("__u64", 8, 0);
    let to_rq = split.pointer(rq.find("rq").expect("is there").0);
    split.section(".bss", 16, &[("nr_queued", u64_, 0, 8), ("rq", to_rq, 8, 8)]);
    let object = Btf::parse_split(split.finish(), Arc::new(rq)).expect("is BTF");
    assert_eq!(object.field(".bss", "nr_queued").map(|field| field.offset), Ok(0));
    let through = Field { hops: vec![8], offset: 32, shape: number(4, false) };
    assert_eq!(object.field(".bss", "rq->dsqs[2].nr"), Ok(through));
    let names: Vec<String> =
        object.members(object.find(".bss").expect("is there")).into_iter().map(|member| member.name).collect();
    assert_eq!(names, ["nr_queued", "rq"]);
    assert_eq!(object.field("task_struct", "pid").map(|field| field.offset), Ok(16));
}

#[test]
fn damage_is_an_error_or_absent_and_ends() {
    let good = written().finish();
    assert!(matches!(Btf::parse(*b"no"), Err(BtfError::Header(_))));
    assert!(Btf::parse(&good[..good.len() - 1]).is_err());
    let mut cut = good.clone();
    // The types end within the last one.
    cut[12] -= 4;
    assert!(matches!(Btf::parse(cut), Err(BtfError::Type(_))));
    // Each byte of each type, changed to what hurts most.
    for at in 24..good.len() {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            let Ok(btf) = Btf::parse(bytes) else { continue };
            for path in ["curr->pid", "dsqs[2].nr", "high", "bits.mid"] {
                let _ = btf.field("rq", path).map(|field| btf.decode(&field.shape, &[0xff; 8]));
            }
        }
    }
    // A name that is longer than any is none, and a struct of many members that are itself has the parts that are asked for.
    for (bytes, name) in [(511, "a".repeat(511)), (512, String::new())] {
        let mut long = BtfWriter::default();
        long.structure(&"a".repeat(bytes), 8, &[]);
        assert_eq!(Btf::parse(long.finish()).expect("is BTF").name(TypeId(1)), name);
    }
    let mut wide = BtfWriter::default();
    let int = wide.int("int", 4, 1);
    wide.structure("wide", 8, &[[("a", 2, 0, 0); 9].as_slice(), &[("b", int, 0, 0); 50_000]].concat());
    assert_eq!(Btf::parse(wide.finish()).expect("is BTF").leaves(TypeId(2), 1 << 8).len(), 240);
    // A struct of many anonymous members that are itself.
    let mut knot = BtfWriter::default();
    knot.structure("knot", 8, &[("", 1, 0, 0); 1000]);
    assert_eq!(Btf::parse(knot.finish()).expect("is BTF").members(TypeId(1)), []);
}

#[test]
fn a_value_is_shown_whole() {
    let btf = Btf::parse(written().finish()).expect("is BTF");
    let leaves = |name: &str, most| btf.leaves(btf.find(name).expect("is there"), most);
    let bytes: Vec<u8> = (0..56).collect();
    let shown: Vec<String> = leaves("rq", 100)
        .iter()
        .map(|leaf| format!("{}={}", leaf.name, btf.decode(&leaf.field.shape, &bytes[leaf.field.offset as usize..])))
        .collect();
    let expected = "curr=0x706050403020100 whole=1084818905618843912 low=185207048 high=252579084 dsqs[0].nr=319951120 \
                    dsqs[0].closed=true dsqs[1].nr=454695192 dsqs[1].closed=true dsqs[2].nr=589439264 dsqs[2].closed=true \
                    bits.low=0 bits.mid=37 bits.up=707210 more=0x3736353433323130";
    assert_eq!(shown.join(" "), expected);
    assert_eq!(leaves("rq", 4).len(), 3);
    assert_eq!(leaves("task_state", 3)[0].name, "");
}

#[test]
fn functions_structs_and_constants_have_names() {
    let mut btf = BtfWriter::default();
    let int = btf.int("int", 4, 1);
    let halves = btf.structure("", 4, &[("low", int, 0, 0)]);
    btf.structure("ops", 8, &[("init", int, 0, 0), ("", halves, 32, 0)]);
    btf.enumeration("", &[("A", 1), ("B", 2)]);
    btf.function("kfunc", &["p", "aux"], int);
    btf.function("nothing", &[], int);
    let base = Btf::parse(btf.finish()).expect("is BTF");
    let named: Vec<_> = base.named_types().collect();
    let function = |name, arguments| Named::Function { name, arguments };
    let expected = [
        Named::Struct { name: "", members: vec!["low"] },
        Named::Struct { name: "ops", members: vec!["init", "low"] },
        Named::Enum { constants: vec!["A", "B"] },
        function("kfunc", vec!["p", "aux"]),
        function("nothing", vec![]),
    ];
    assert_eq!(named, expected);
    assert_eq!(base.find("kfunc"), None, "it is no type of a value");
}

#[test]
fn a_number_goes_where_it_was_read() {
    let int = |bytes, signed, bits| Shape::Int { bytes, signed, bits };
    let btf = Btf::parse(written().finish()).expect("is BTF");
    let state = btf.field("task_struct", "state").expect("is there").shape;
    for (shape, range) in [
        (int(1, false, None), Some(0..=255)),
        (int(8, true, None), Some(i64::MIN.into()..=i64::MAX.into())),
        (int(2, true, Some((3, 7))), Some(-64..=63)),
        (Shape::Bool, Some(0..=1)),
        (state, Some(-(1 << 31)..=(1 << 32) - 1)),
        (int(16, false, None), None),
        (int(0, false, None), None),
        // As damaged types have it.
        (int(u32::MAX, true, None), None),
        (Shape::Enum { id: TypeId(0), bytes: 0 }, None),
        (Shape::Text { bytes: 4 }, None),
    ] {
        assert_eq!(shape.range(), range, "{shape:?}");
        for number in range.into_iter().flat_map(|range| [*range.start(), *range.end(), 1]) {
            let mut bytes = vec![0xa5; shape.bytes(&btf).expect("has a size") as usize];
            shape.encode(number, &mut bytes);
            let bits = 8 * bytes.len() as u32;
            let seen =
                btf.decode(&shape, &bytes)
                    .number()
                    .map(|seen| if seen < 0 && number > 0 { seen + (1 << bits) } else { seen });
            assert_eq!(seen, Some(number), "{shape:?}");
        }
    }
    let mut bytes = [0xff, 0xff];
    int(2, true, Some((3, 7))).encode(0, &mut bytes);
    assert_eq!(bytes, [0b0000_0111, 0b1111_1100]);
}

#[test]
fn a_variable_is_found_by_its_name() {
    let mut writer = written();
    let int = writer.int("int", 4, 1);
    writer.section(".data..percpu", 8, &[("other", int, 0, 4), ("counter", int, 4, 4)]);
    let btf = Btf::parse(writer.finish()).expect("is BTF");
    let counter = btf.variable("counter").and_then(|id| btf.whole(id));
    assert_eq!(counter, Some(Field { hops: vec![], offset: 0, shape: number(4, true) }));
    assert_eq!(btf.variable("rq"), None);
}
