import Archive
import Glibc
import LinuxHost
import Model
import Testing

/// A tar archive put together header by header, so that it can be wrong in any way.
struct RawTar {
    var bytes: [UInt8] = []

    struct Fields {
        var mode = "0000644"
        var uid = "0000000"
        var gid = "0000000"
        var size: String?
        var mtime = "07346545000"
        var link: [UInt8] = []
        var major = "0000000"
        var minor = "0000000"
        var magic = Array("ustar\u{0}00".utf8)
    }

    mutating func add(
        _ name: [UInt8], type: Character = "0", content: [UInt8] = [], _ change: (inout Fields) -> Void = { _ in }
    ) {
        var fields = Fields()
        change(&fields)
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ offset: Int, _ value: [UInt8]) { header.replaceSubrange(offset..<offset + value.count, with: value) }
        put(0, Array(name.prefix(100)))
        put(100, Array(fields.mode.utf8))
        put(108, Array(fields.uid.utf8))
        put(116, Array(fields.gid.utf8))
        let octal = String(content.count, radix: 8)
        put(124, Array((fields.size ?? String(repeating: "0", count: 11 - octal.count) + octal).utf8))
        put(136, Array(fields.mtime.utf8))
        put(156, Array(String(type).utf8))
        put(157, Array(fields.link.prefix(100)))
        put(257, fields.magic)
        put(329, Array(fields.major.utf8))
        put(337, Array(fields.minor.utf8))
        put(148, Array("        ".utf8))
        let sum = header.reduce(0) { $0 + Int($1) }
        let text = String(sum, radix: 8)
        put(148, Array((String(repeating: "0", count: 6 - text.count) + text + "\u{0} ").utf8))
        bytes += header + content
        bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    mutating func file(_ name: String, _ content: String = "x", _ change: (inout Fields) -> Void = { _ in }) {
        add(Array(name.utf8), content: Array(content.utf8), change)
    }

    mutating func folder(_ name: String, _ change: (inout Fields) -> Void = { _ in }) {
        add(Array(name.utf8), type: "5") {
            $0.mode = "0000755"
            change(&$0)
        }
    }

    mutating func link(_ name: String, to target: String, hard: Bool = false) {
        add(Array(name.utf8), type: hard ? "1" : "2") { $0.link = Array(target.utf8) }
    }

    mutating func pax(_ records: [(String, [UInt8])], type: Character = "x") {
        var body: [UInt8] = []
        for (key, value) in records {
            var length = key.utf8.count + value.count + 3
            while length != key.utf8.count + value.count + 3 + String(length).count {
                length = key.utf8.count + value.count + 3 + String(length).count
            }
            body += Array("\(length) \(key)=".utf8) + value + [10]
        }
        add(Array("PaxHeaders".utf8), type: type, content: body)
    }

    var ended: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }
}

/// A folder for a test with a tree unpacked into it, and another one beside it that must not change.
final class Unpacked: Sendable {
    let base: RootDirectory
    let root: RootDirectory

    init() throws {
        let path = "/tmp/isle-archive-test-\(UInt64.random(in: .min ... .max))"
        base = try RootDirectory(path: path, create: true)
        try base.makeDirectory("root")
        try base.makeDirectory("outside")
        try base.writeFile("outside/victim", Array("untouched".utf8), durable: false)
        root = try base.subdirectory("root")
    }

    deinit {
        do { try RootDirectory(path: "/tmp").removeTree(String(base.path.dropFirst(5))) } catch {
            Issue.record("left \(base.path) behind: \(error)")
        }
    }

    @discardableResult
    func unpack(_ bytes: [UInt8], _ options: UnpackOptions = UnpackOptions(), expecting: String? = nil) throws
        -> UnpackReport
    {
        try TreeUnpacker.unpack(
            MemorySource(bytes), named: "test.tar", into: root, options: options, expecting: expecting)
    }

    func unpack(_ change: (inout RawTar) -> Void) throws -> UnpackReport {
        var tar = RawTar()
        change(&tar)
        return try unpack(tar.ended)
    }

    /// The error of an unpack that must fail, after a look at the outside.
    func refusal(_ change: (inout RawTar) -> Void) throws -> EngineError? {
        defer { checkOutside() }
        do {
            _ = try unpack(change)
            return nil
        } catch let error as EngineError { return error }
    }

    func checkOutside() {
        #expect((try? base.list("outside").map(\.name)) == ["victim"])
        #expect((try? base.readFile("outside/victim")) == Array("untouched".utf8))
        #expect((try? Set(base.list().map(\.name))) == ["root", "outside"])
    }

    func text(_ path: String) throws -> String { String(decoding: try root.readFile(path), as: UTF8.self) }
}

let isRoot = geteuid() == 0
