import Testing
import WireTypes

@testable import StackKit

@Suite struct YAMLDocumentTests {
    private func parse(_ text: String) throws -> JSONValue { try YAMLDocument.parse(text, name: "f") }

    @Test func anchorsAliasesAndMergeKeys() throws {
        let value = try parse(
            """
            x-base: &base {a: 1, b: two}
            one: &one
              <<: *base
              b: own
            list: [*base, [1, 2.5, true, ~, "3", 0x10, yes]]
            many:
              <<: [*one, *base]
              c: |
                line
            last: 1
            """)
        #expect(value["one"] == ["a": 1, "b": "own"])
        #expect(value["many"] == ["a": 1, "b": "own", "c": "line\n"])
        #expect(value["list"]?.arrayValue?[1] == [1, 2.5, true, nil, "3", 16, "yes"])
        #expect(try parse("") == .null)
    }

    @Test(arguments: [
        "a: 1\na: 2", "a: *none", "a: [", "\t- x", "a: 1\n---\nb: 2", "? [a]\n: b", "<<: 3", "a: \"open",
    ])
    func whatIsWrongIsNamed(_ text: String) {
        #expect(throws: StackError.self) { try parse(text) }
    }

    @Test func aBombOfAliasesEnds() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            text += "a\(level): &a\(level) [\(aliases)]\n"
        }
        #expect(throws: StackError.self) { try parse(text) }
        #expect(throws: StackError.self) { try parse(String(repeating: "[", count: 10_000)) }
    }
}

@Suite struct InterpolationTests {
    private let variables = Interpolation { ["A": "one", "EMPTY": ""][$0] }

    @Test(arguments: [
        ("$A-${A}", "one-one"), ("$$A", "$A"), ("${NONE:-x}", "x"), ("${EMPTY:-x}", "x"), ("${EMPTY-x}", ""),
        ("${NONE-${A}}", "one"), ("${A:+y}", "y"), ("${NONE:+y}", ""), ("${EMPTY+y}", "y"), ("$NONE.", "."),
        ("${A:?wrong}", "one"), ("plain", "plain"),
    ])
    func variablesArePutIn(_ text: String, _ expected: String) throws {
        #expect(try variables.expand(text) == expected)
    }

    @Test(arguments: ["${NONE:?is needed}", "${EMPTY:?}", "${A", "$-", "${}", "${A!x}"])
    func whatCannotBePutInIsNamed(_ text: String) {
        #expect(throws: StackError.self) { try variables.expand(text) }
    }

    @Test func keysStayAndNumbersToo() throws {
        #expect(try variables.apply(["$A": ["$A", 3]]) == ["$A": ["one", 3]])
    }
}
