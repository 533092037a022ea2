import LinuxHost
import Model

/// A kernel as packages bring it (`vmlinuz`) and the plain ELF file inside, which QEMU starts without a BIOS's detours
/// (PVH boot).
enum KernelImage {
    private static let limit = 512 << 20

    /// Unpacks the ELF file out of an x86 bzImage (Documentation/arch/x86/boot.rst: payload_offset, payload_length).
    /// - Throws: `unsupported` for a packing that no tool here undoes, `invalidArgument` for anything but a bzImage.
    static func extractELF(_ image: [UInt8]) async throws -> [UInt8] {
        guard image.count > 0x260, Array(image[0x202..<0x206]) == Array("HdrS".utf8) else {
            throw EngineError(.invalidArgument, "the kernel file is not an x86 bzImage")
        }
        let setupSectors = image[0x1f1] == 0 ? 4 : Int(image[0x1f1])
        let start = (setupSectors + 1) * 512 + number(image, 0x248)
        let length = number(image, 0x24c)
        guard length > 4, start + length <= image.count else {
            throw EngineError(.invalidArgument, "the kernel file is cut off")
        }
        let payload = Array(image[start..<(start + length)])
        let elf = try await unpack(payload)
        guard elf.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else {
            throw EngineError(.invalidArgument, "the kernel file holds no ELF file")
        }
        return elf
    }

    private static func unpack(_ payload: [UInt8]) async throws -> [UInt8] {
        if payload.starts(with: LZ4.legacyMagic) {
            return try await runBlocking { try LZ4.decodeLegacy(payload, limit: limit) }
        }
        let tools: [([UInt8], String)] = [
            ([0x1f, 0x8b], "gzip"), ([0xfd, 0x37, 0x7a, 0x58], "xz"), ([0x28, 0xb5, 0x2f, 0xfd], "zstd"),
        ]
        guard let (_, tool) = tools.first(where: { payload.starts(with: $0.0) }) else {
            throw EngineError(.unsupported, "the kernel is packed in a way that Isle does not know")
        }
        // Behind the packed data stands the size, at which these tools complain after writing everything.
        let result = try await ProcessRunner.run(
            "/usr/bin/" + tool, ["-dc"], input: payload, limit: limit, timeout: .seconds(120))
        guard !result.outputTruncated, !result.output.isEmpty else {
            throw EngineError(.internal, "\(tool) cannot unpack the kernel: \(result.lastWords)")
        }
        return result.output
    }

    private static func number(_ bytes: [UInt8], _ position: Int) -> Int {
        (0..<4).reduce(0) { $0 | Int(bytes[position + $1]) << (8 * $1) }
    }
}
