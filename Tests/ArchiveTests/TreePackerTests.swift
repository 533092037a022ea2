import Archive
import Glibc
import LinuxHost
import Model
import Testing

@Suite(.enabled(if: isRoot, "needs root: owners, device nodes, trusted attributes"))
struct TreePackerTests {
    /// Packs the root of `tree` into `name` beside it.
    private func pack(_ tree: Unpacked, _ options: PackOptions, as name: String = "out.tar") async throws -> PackReport
    {
        let file = try tree.base.createFile(name)
        return try await TreePacker.pack(tree.root, to: file, named: name, options: options)
    }

    private func fill(_ tree: Unpacked) throws {
        _ = try tree.unpack { tar in
            tar.folder("b/") { $0.mode = "0001777" }
            tar.file("b/two", String(repeating: "content ", count: 5000)) {
                $0.mode = "0004711"
                $0.uid = "0000007"
            }
            tar.link("b/again", to: "b/two", hard: true)
            tar.link("a", to: "/b/two")
            tar.add(Array("pipe".utf8), type: "6")
            tar.pax([("SCHILY.xattr.user.note", [1, 2]), ("mtime", Array("1000.25".utf8))])
            tar.file("noted")
            tar.file(String(repeating: "long", count: 60), "x")
            tar.add([0x66, 0xfc], content: [1])
            tar.file("empty", "")
        }
    }

    @Test(arguments: Compression.allCases) func whatIsPackedIsUnpackedAgain(_ compression: Compression) async throws {
        let tree = try Unpacked()
        try fill(tree)
        let report = try await pack(tree, PackOptions(compression: compression))
        let out = "\(tree.base.path)/out.tar"
        let sum = try await ProcessRunner.check("sha256sum", [out])
        #expect(report.digest == "sha256:" + sum.outputText.prefix(64))
        #expect(try tree.base.status("out.tar")?.size == report.size)
        if compression != .none { #expect(report.size < report.plainSize) }
        let other = try Unpacked()
        let unpacked = try await TreeUnpacker.unpack(
            OwnedDescriptor(open(out, O_RDONLY | O_CLOEXEC)), named: "out", into: other.root,
            expecting: report.plainDigest)
        #expect(unpacked.bytes == report.plainSize)
        #expect(unpacked.entries == report.members.count)
        // As another program sees both trees.
        try await ProcessRunner.check(
            "diff", ["-r", "--no-dereference", "-x", "pipe", tree.root.path, other.root.path])
        for path in ["b", "b/two", "a", "noted", "pipe"] {
            let (one, two) = (try #require(try tree.root.status(path)), try #require(try other.root.status(path)))
            #expect(one.permissions == two.permissions && one.user == two.user && one.modified == two.modified)
            #expect(one.links == two.links && one.kind == two.kind)
        }
        #expect(try other.root.attribute("noted", "user.note") == [1, 2])
    }

    @Test func otherProgramsReadIt() async throws {
        let tree = try Unpacked()
        try fill(tree)
        _ = try await pack(tree, PackOptions())
        let compared = try await ProcessRunner.run(
            "tar", ["-C", tree.root.path, "--compare", "-f", "\(tree.base.path)/out.tar"])
        #expect(compared.status.isSuccess, "\(compared.outputText)\(compared.errorText)")
    }

    @Test func theSameTreeGivesTheSameArchive() async throws {
        var digests: Set<String> = []
        for name in ["1", "2"] {
            let tree = try Unpacked()
            try fill(tree)
            // Made in another order, and at another time.
            if name == "2" { try tree.root.rename("empty", to: "x") }
            if name == "2" { try tree.root.rename("x", to: "empty") }
            try tree.root.setModified("noted", FileTime(seconds: name == "1" ? 5_000 : 6_000))
            let options = PackOptions(compression: .gzip, latestTime: FileTime(seconds: 1_000), keepOwners: false)
            digests.insert(try await pack(tree, options).digest)
        }
        #expect(digests.count == 1)
    }

    @Test func overlayMarksBecomeWhiteouts() async throws {
        let tree = try Unpacked()
        try tree.root.makeDirectories("etc/dir")
        try tree.root.makeNode("etc/gone", .characterDevice, permissions: 0)
        try tree.root.makeNode("top", .characterDevice, permissions: 0)
        try tree.root.setAttribute("etc/dir", "trusted.overlay.opaque", Array("y".utf8))
        try tree.root.setAttribute("etc", "trusted.overlay.impure", Array("y".utf8))
        try tree.root.writeFile("etc/dir/new", [1], durable: false)
        let report = try await pack(tree, PackOptions(compression: .none))
        #expect(
            report.members.map(\.text)
                == ["etc", "etc/dir", "etc/dir/.wh..wh..opq", "etc/dir/new", "etc/.wh.gone", ".wh.top"])
        let other = try Unpacked()
        _ = try other.unpack(try tree.base.readFile("out.tar"))
        #expect(try other.root.status("etc/gone")?.kind == .characterDevice)
        #expect(try other.root.attribute("etc/dir", "trusted.overlay.opaque") == Array("y".utf8))
        #expect(try other.root.attributeNames("etc").isEmpty)
    }

    @Test func whatALayerCannotSayIsRefused() async throws {
        let tree = try Unpacked()
        try tree.root.writeFile(".wh.name", [1], durable: false)
        await #expect(throws: EngineError.self) { try await pack(tree, PackOptions(), as: "1") }
        #expect(try await pack(tree, PackOptions(translatesWhiteouts: false), as: "2").members == [".wh.name"])
        let other = try Unpacked()
        try other.root.makeDirectory("moved")
        try other.root.setAttribute("moved", "trusted.overlay.redirect", Array("/old".utf8))
        let error = await #expect(throws: EngineError.self) { try await pack(other, PackOptions(), as: "3") }
        #expect(error?.code == .unsupported)
    }

    @Test func aDeepTree() async throws {
        let tree = try Unpacked()
        try tree.root.makeDirectories(String(repeating: "d/", count: 800) + "end")
        let report = try await pack(tree, PackOptions())
        #expect(report.members.count == 801)
    }

    @Test func aFullDiskIsSaid() async throws {
        let tree = try Unpacked()
        try fill(tree)
        let full = OwnedDescriptor(open("/dev/full", O_WRONLY | O_CLOEXEC))
        let error = await #expect(throws: EngineError.self) {
            _ = try await TreePacker.pack(tree.root, to: full, named: "full", options: PackOptions())
        }
        #expect(error?.code == .resourceExhausted)
    }
}
