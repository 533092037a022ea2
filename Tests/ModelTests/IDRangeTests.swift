import Model
import Testing

@Suite struct IDRangeTests {
    @Test func aPlainRange() {
        let range = IDRange(base: 100_000)
        #expect(range.kernelMap(.user) == "0 100000 65536\n")
        #expect(range.outside(1000, .user) == 101_000 && range.inside(101_000, .group) == 1000)
        #expect(range.outside(65536, .user) == nil && range.inside(1000, .user) == nil)
        #expect(range.inside(165_536, .user) == nil && range.inside(99_999, .user) == nil)
        #expect(range.root == (100_000, 100_000))
    }

    @Test func exceptionsSplitTheRange() throws {
        let text = "both 1000 1000\nuid 50-59 500-509\n\ngid 44 0"
        let range = IDRange(base: 100_000, exceptions: try IDException.parse(text))
        #expect(
            range.kernelMap(.user) == "0 100000 500\n500 50 10\n510 100510 490\n1000 1000 1\n1001 101001 64535\n")
        #expect(range.kernelMap(.group) == "0 44 1\n1 100001 999\n1000 1000 1\n1001 101001 64535\n")
        #expect(range.extents(.user).map(\.count).reduce(0, +) == 65536)
        #expect(range.outside(505, .user) == 55 && range.inside(55, .user) == 505)
        // The host's id that would have stood there stands for nobody.
        #expect(range.inside(100_505, .user) == nil && range.inside(55, .group) == nil)
        #expect(range.root == (100_000, 44))
    }

    @Test func theEndOfTheRange() throws {
        let range = IDRange(base: 100_000, exceptions: try IDException.parse("both 7 65535"))
        #expect(range.kernelMap(.user) == "0 100000 65535\n65535 7 1\n")
    }

    @Test(arguments: [
        "both 1000", "both 1000 1000 1", "any 1000 1000", "both x 1", "both 1-2 1", "both 2-1 1-2", "both 0 1000",
        "both 1000 65536", "both 1000 1000\nuid 2000 1000", "uid 1000 5\nuid 1000 6",
        "both -1 5", "both 4294967295 5", "both 1-2-3 1-3",
    ])
    func whatIsNoMappingIsRefused(_ text: String) {
        let error = #expect(throws: EngineError.self) { try IDException.parse(text) }
        #expect(error?.code == .invalidArgument && error?.message.contains("raw.idmap") == true)
    }

    @Test func noMoreLinesThanTheKernelTakes() throws {
        let lines = (0..<160).map { "both \($0 + 1000) \($0 * 2 + 1)\n" }.joined()
        let range = IDRange(base: 1 << 20, exceptions: try IDException.parse(lines))
        #expect(range.extents(.user).count <= 340)
        #expect(throws: EngineError.self) { try IDException.parse(lines + "both 5000 5000") }
    }
}
