import Archive
import Glibc
import LinuxHost
import Model
import Testing

@Suite(.enabled(if: isRoot, "needs root: owners"))
struct CompressionTests {
    static let tools = ["gzip", "bzip2", "xz", "zstd", "lz4"].filter { access("/usr/bin/\($0)", X_OK) == 0 }

    /// A tar of some megabytes with text and noise in it.
    private func tar() -> [UInt8] {
        var tar = RawTar()
        var state: UInt64 = 88_172_645_463_325_252
        for index in 0..<40 {
            var content = [UInt8](repeating: UInt8(index), count: 50_000)
            for position in 0..<20_000 {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                content[position] = UInt8(truncatingIfNeeded: state)
            }
            tar.add(Array("dir\(index)/file".utf8), content: content)
        }
        return tar.ended
    }

    private func unpack(_ path: String, _ tree: Unpacked, _ options: UnpackOptions = UnpackOptions()) async throws
        -> UnpackReport
    {
        let file = OwnedDescriptor(open(path, O_RDONLY | O_CLOEXEC))
        return try await TreeUnpacker.unpack(file, named: "test", into: tree.root, options: options)
    }

    @Test(arguments: tools) func theDigestIsThatOfThePlainStream(_ tool: String) async throws {
        let tree = try Unpacked()
        let bytes = tar()
        try tree.base.writeFile("layer.tar", bytes, durable: false)
        let plain = try await unpack("\(tree.base.path)/layer.tar", tree)
        let packed = try await ProcessRunner.check(tool, ["-c", "\(tree.base.path)/layer.tar"], limit: 64 << 20)
        try tree.base.writeFile("layer.packed", packed.output, durable: false)
        let other = try Unpacked()
        let report = try await unpack("\(tree.base.path)/layer.packed", other)
        #expect(report == plain)
        #expect(report.bytes == Int64(bytes.count))
        #expect(try other.root.readFile("dir7/file") == tree.root.readFile("dir7/file"))
        // Two streams one after the other are one, as gzip has it.
        if tool == "gzip" {
            try tree.base.writeFile("layer.packed", packed.output + packed.output, durable: false)
            #expect(try await unpack("\(tree.base.path)/layer.packed", Unpacked()).bytes == Int64(bytes.count * 2))
        }
        // Cut off, it is refused.
        try tree.base.writeFile("layer.packed", packed.output.dropLast(packed.output.count / 2), durable: false)
        let half = try Unpacked()
        await #expect(throws: EngineError.self) { try await unpack("\(tree.base.path)/layer.packed", half) }
    }

    @Test(arguments: ["gzip", "xz", "zstd"].filter { tools.contains($0) }) func bombs(_ tool: String) async throws {
        let tree = try Unpacked()
        let script = "head -c 300000000 /dev/zero | \(tool) -c -1"
        let packed = try await ProcessRunner.check("/bin/sh", ["-c", script], limit: 64 << 20)
        try tree.base.writeFile("bomb", packed.output, durable: false)
        for limits in [ArchiveLimits(bytes: 10 << 20), ArchiveLimits(ratio: 50, ratioGrace: 1 << 20)] {
            let file = OwnedDescriptor(open("\(tree.base.path)/bomb", O_RDONLY | O_CLOEXEC))
            let source = try DecompressedSource(file, name: "bomb", limits: limits)
            let error = #expect(throws: EngineError.self) { while try !source.nextBlock().isEmpty {} }
            #expect(error?.code == .resourceExhausted)
        }
    }

    @Test(.enabled(if: tools.contains("gzip"), "needs gzip")) func compressedTwiceIsRefused() async throws {
        let tree = try Unpacked()
        try tree.base.writeFile("layer.tar", tar(), durable: false)
        let path = "\(tree.base.path)/layer.tar"
        let twice = try await ProcessRunner.check("/bin/sh", ["-c", "gzip -c \(path) | gzip -c"], limit: 64 << 20)
        try tree.base.writeFile("twice", twice.output, durable: false)
        let error = await #expect(throws: EngineError.self) { try await unpack("\(tree.base.path)/twice", tree) }
        #expect(error?.message.contains("more than once") == true)
    }

    @Test func anEmptyFileIsAnEmptyArchive() async throws {
        let tree = try Unpacked()
        try tree.base.writeFile("empty", [], durable: false)
        #expect(try await unpack("\(tree.base.path)/empty", tree).entries == 0)
    }

    /// What GNU tar writes, in each of its formats, is what it itself would unpack.
    @Test(arguments: ["gnu", "oldgnu", "pax", "posix", "ustar", "v7"]) func tarsOfGNUTar(_ format: String) async throws
    {
        let tree = try Unpacked()
        try tree.base.makeDirectories("in/sub")
        let long = format == "v7" || format == "ustar" ? "name" : String(repeating: "n", count: 180)
        try tree.base.writeFile("in/sub/\(long)", Array("content".utf8), mode: 0o640, durable: false)
        try tree.base.makeSymbolicLink("in/link", target: "sub")
        try tree.base.makeHardLink("in/second", to: "in/sub/\(long)")
        try await ProcessRunner.check(
            "tar", ["--format=\(format)", "-C", "\(tree.base.path)/in", "-cf", "\(tree.base.path)/t.tar", "."])
        _ = try await unpack("\(tree.base.path)/t.tar", tree)
        let diff = try await ProcessRunner.run(
            "tar", ["-C", tree.root.path, "--compare", "-f", "\(tree.base.path)/t.tar"])
        #expect(diff.status.isSuccess, "\(diff.outputText)\(diff.errorText)")
    }

    @Test(arguments: [
        ["--format=gnu"], ["--format=pax", "--sparse-version=0.0"], ["--format=pax", "--sparse-version=0.1"],
        ["--format=pax", "--sparse-version=1.0"],
    ])
    func sparseFiles(_ options: [String]) async throws {
        let tree = try Unpacked()
        try tree.base.makeDirectory("in")
        let file = try tree.base.createFile("in/sparse")
        // More regions than fit into one header.
        for index in 0..<40 {
            let piece = [UInt8](repeating: UInt8(index + 1), count: 4096)
            #expect(pwrite(file.raw, piece, piece.count, off_t(index * 1_000_000)) == piece.count)
        }
        #expect(ftruncate(file.raw, 50_000_000) == 0)
        file.close()
        let tarPath = "\(tree.base.path)/t.tar"
        try await ProcessRunner.check(
            "tar", options + ["--sparse", "-C", "\(tree.base.path)/in", "-cf", tarPath, "sparse"])
        #expect(try tree.base.status("t.tar")?.size ?? 0 < 1_000_000)
        _ = try await unpack(tarPath, tree)
        let status = try #require(try tree.root.status("sparse"))
        #expect(status.size == 50_000_000)
        #expect(status.allocated < 1_000_000)
        try await ProcessRunner.check("cmp", ["\(tree.base.path)/in/sparse", "\(tree.root.path)/sparse"])
    }
}
