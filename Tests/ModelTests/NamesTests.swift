import Model
import Testing

@Suite struct NamesTests {
    @Test(arguments: ["a", "Web-1", "a--b", String(repeating: "a", count: 63)])
    func instanceNames(name: String) throws { try Names.checkInstance(name) }

    @Test(arguments: [
        "", "1a", "-a", "a-", "a.b", "a_b", "a b", "ä", "a/b", "..", "a\0", "a\n", String(repeating: "a", count: 64),
    ])
    func whatIsNoInstanceName(name: String) {
        let error = #expect(throws: EngineError.self) { try Names.checkInstance(name) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.utf8.contains(10) == false)
    }

    @Test(arguments: ["a", "1", "a.b_c-d", String(repeating: "a", count: 63)])
    func resourceNames(name: String) throws { try Names.checkResource(name, "volume") }

    @Test(arguments: ["", ".", "..", ".a", "-a", "_a", "a/b", "a b", "ä", "a\0", String(repeating: "a", count: 64)])
    func whatIsNoResourceName(name: String) {
        let error = #expect(throws: EngineError.self) { try Names.checkResource(name, "volume") }
        #expect(error?.message.hasPrefix("volume name") == true)
    }

    @Test func quotingIsSafeForATerminal() {
        #expect(Names.quoted("web") == "'web'")
        #expect(!Names.quoted("\u{1b}[2J\n\u{9b}\u{7f}").unicodeScalars.contains { $0.value < 32 || $0.value > 126 })
        #expect(Names.quoted(String(repeating: "x", count: 100)).count == 83)
    }
}

@Suite struct ModelValueTests {
    @Test func instanceIDsAreSixteenHexadecimalDigits() throws {
        #expect(InstanceID("0123456789abcdef") != nil)
        for text in [
            "", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdefg", "../../../../../..", "0123456789abcde/",
        ] {
            #expect(InstanceID(text) == nil, "\(text)")
        }
        for _ in 0..<100 { #expect(InstanceID(InstanceID.random().raw) != nil) }
    }

    @Test func errorsReadAsOneLine() {
        let error = EngineError(.busy, "it is held", hint: "wait", cause: EngineError(.timeout, "too slow"))
        #expect("\(error)" == "it is held: too slow (wait)")
    }

    @Test func aDescriptorIsClosedOnce() {
        let owned = OwnedDescriptor(-1)
        owned.close()
        owned.close()
        #expect(owned.raw == -1)
        #expect(owned.take() == -1)
    }
}
