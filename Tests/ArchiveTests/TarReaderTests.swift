import Archive
import Glibc
import LinuxHost
import Model
import Testing

@Suite struct TarReaderTests {
    private func entries(_ bytes: [UInt8], limits: ArchiveLimits = ArchiveLimits()) throws -> [TarEntry] {
        let reader = TarReader(MemorySource(bytes), name: "test.tar", limits: limits)
        var entries: [TarEntry] = []
        while let entry = try reader.next() { entries.append(entry) }
        return entries
    }

    private func one(_ change: (inout RawTar) -> Void) throws -> TarEntry {
        var tar = RawTar()
        change(&tar)
        return try #require(try entries(tar.ended).first)
    }

    @Test func numbersInBase256() throws {
        var tar = RawTar()
        tar.file("big", "")
        var bytes = tar.ended
        // uid 3,000,000 and a time before 1970, each in two's complement with the first bit set.
        bytes.replaceSubrange(108..<116, with: [0x80, 0, 0, 0, 0x00, 0x2d, 0xc6, 0xc0])
        bytes.replaceSubrange(136..<148, with: [UInt8](repeating: 0xff, count: 12))
        fix(&bytes, at: 0)
        let big = try #require(try entries(bytes).first)
        #expect(big.user == 3_000_000)
        #expect(big.modified.seconds == -1)
    }

    /// Sets the checksum of the header at `offset` right.
    private func fix(_ bytes: inout [UInt8], at offset: Int) {
        guard offset + 512 <= bytes.count else { return }
        for index in 148..<156 { bytes[offset + index] = 32 }
        let sum = bytes[offset..<offset + 512].reduce(0) { $0 + Int($1) }
        let text = Array(String(sum, radix: 8).utf8)
        let digits = [UInt8](repeating: 48, count: 6 - text.count) + text + [0]
        bytes.replaceSubrange((offset + 148)..<(offset + 155), with: digits)
    }

    @Test(arguments: [
        ("0", 0, 0), ("1.5", 1, 500_000_000), ("-1.25", -2, 750_000_000), ("-0.5", -1, 500_000_000), ("7.", 7, 0),
        ("1234567890.123456789123", 1_234_567_890, 123_456_789),
    ])
    func times(_ text: String, _ seconds: Int64, _ nanoseconds: Int) throws {
        let entry = try one { tar in
            tar.pax([("mtime", Array(text.utf8))])
            tar.file("x")
        }
        #expect(entry.modified == FileTime(seconds: seconds, nanoseconds: nanoseconds))
    }

    @Test(arguments: ["x", "1.x", "1.+5", "-9223372036854775808.5", "99999999999999999999", "1e5", "0x10"])
    func timesThatAreNone(_ text: String) {
        #expect(throws: EngineError.self) {
            try one { tar in
                tar.pax([("mtime", Array(text.utf8))])
                tar.file("x")
            }
        }
    }

    @Test func globalHeadersHoldUntilTheyAreOverruled() throws {
        var tar = RawTar()
        tar.pax([("uid", Array("5".utf8)), ("gid", Array("6".utf8))], type: "g")
        tar.file("a")
        tar.pax([("uid", Array("7".utf8))])
        tar.file("b")
        tar.file("c")
        let users = try entries(tar.ended).map { [$0.user, $0.group] }
        #expect(users == [[5, 6], [7, 6], [5, 6]])
    }

    @Test func prefixAndNameOfUstar() throws {
        var tar = RawTar()
        tar.file("name")
        var bytes = tar.ended
        bytes.replaceSubrange(345..<351, with: Array("prefix".utf8))
        fix(&bytes, at: 0)
        #expect(try entries(bytes).first?.path == "prefix/name")
        // GNU has other things there.
        bytes.replaceSubrange(257..<265, with: Array("ustar  \u{0}".utf8))
        fix(&bytes, at: 0)
        #expect(try entries(bytes).first?.path == "name")
    }

    @Test func dataThatIsNotReadIsPassedOver() throws {
        var tar = RawTar()
        tar.file("a", String(repeating: "a", count: 5000))
        tar.file("b", "content")
        let reader = TarReader(MemorySource(tar.ended), name: "t")
        _ = try reader.next()
        #expect(throws: EngineError.self) { try reader.readAll(limit: 4999) }
        #expect(try reader.next()?.path == "b")
        #expect(try reader.readAll() == Array("content".utf8))
        #expect(try reader.next() == nil)
        #expect(try reader.next() == nil)
    }

    @Test func anArchiveWithoutItsEndIsWhole() throws {
        var tar = RawTar()
        tar.file("a")
        #expect(try entries(tar.bytes).count == 1)
        #expect(try entries([]).isEmpty)
    }

    @Test func errorsSayWhere() throws {
        var tar = RawTar()
        tar.file("a")
        tar.file("b")
        var bytes = tar.ended
        bytes[1024] ^= 0xff
        let error = #expect(throws: EngineError.self) { try entries(bytes) }
        #expect(error?.message == "archive test.tar is damaged at offset 1536: a header's checksum is wrong")
    }

    /// Bytes changed at random, with checksums set right so that the change is seen: an error or entries, never a trap
    /// and never something outside.
    @Test(.enabled(if: isRoot, "needs root: owners"), arguments: 1...8)
    func randomDamage(_ seed: UInt64) throws {
        var tar = RawTar()
        tar.folder("d/")
        tar.pax([("path", Array("d/long".utf8)), ("mtime", Array("1.5".utf8)), ("SCHILY.xattr.user.a", [1])])
        tar.file("x", String(repeating: "y", count: 700))
        tar.pax([("GNU.sparse.size", Array("9000".utf8)), ("GNU.sparse.map", Array("0,1,8000,2".utf8))])
        tar.file("s", "abc")
        tar.link("l", to: "d")
        tar.link("h", to: "d/long", hard: true)
        tar.add(Array("././@LongLink".utf8), type: "L", content: Array("d/another".utf8) + [0])
        tar.file("z")
        tar.file("d/.wh.gone", "")
        let whole = tar.ended
        var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
        func random(_ bound: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state >> 33) % bound
        }
        let tree = try Unpacked()
        for round in 0..<150 {
            var bytes = whole
            for _ in 0...random(4) {
                let position = random(bytes.count)
                bytes[position] = [0, 0xff, 0x80, 0x2f, 0x2e, 0x37, UInt8(random(256))][random(7)]
            }
            for offset in stride(from: 0, to: bytes.count, by: 512) where bytes[offset + 257] == 0x75 {
                fix(&bytes, at: offset)
            }
            if random(5) == 0 { bytes = Array(bytes.prefix(random(bytes.count))) }
            do {
                let limits = ArchiveLimits(bytes: 1 << 30, fileSize: 1 << 30)
                try tree.unpack(bytes, UnpackOptions(limits: limits))
            } catch is EngineError {
                // Refused, which is what most of them deserve.
            }
            if round % 50 == 0 { tree.checkOutside() }
            try tree.root.removeContents()
        }
        tree.checkOutside()
    }
}
