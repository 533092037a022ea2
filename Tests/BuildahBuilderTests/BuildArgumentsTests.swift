import Testing

@testable import BuildahBuilder

@Suite struct BuildArgumentsTests {
    @Test(arguments: [
        ("FROM a\nARG V\nENV V=$V\n", true),
        ("FROM a\r\nARG V\r\nENV V=${V}\r\n", true),
        ("FROM a\nARG V\nCOPY one \\\n  /$V\n", true),
        ("FROM a\nARG V\nRUN echo \\\n  $V\n", false),
        ("ARG V\nFROM a:$V\nRUN echo $V\n", false),
        ("FROM a\nARG V\n# ENV V=$V\n", false),
        ("FROM a\nARG W\nENV W=$W\n", false),
    ])
    func onlyRUNAndFROMHaveValuesInTheCache(_ text: String, _ escapes: Bool) {
        #expect(BuildArguments.escapeTheCache(text, ["V": "1"]) == escapes)
        #expect(!BuildArguments.escapeTheCache(text, [:]))
    }
}
