public import Archive
import FoundationEssentials
import Glibc
import LinuxHost
import Model

/// A disk that was brought in: a qcow2 file that stands alone.
public struct ImportedDisk: Sendable, Hashable {
    public var path: String
    /// Bytes that the guest sees.
    public var virtualSize: UInt64
    /// What it was before.
    public var format: DiskFileFormat
    /// It boots by UEFI and cannot by a BIOS.
    public var needsUEFI: Bool
    /// Further disks of an OVA, which were left out.
    public var otherDisks: [String]
}

/// Brings in disk images of VMware, VirtualBox, Hyper-V, Virtual PC and QEMU, and OVA packages.
///
/// The format is told by the file's own magic, never by QEMU; what the disk says about further files is read here and
/// refused unless it is a part beside a VMDK description. The conversion is done by qemu-img(1) in a `ToolSandbox`.
public struct DiskImport: Sendable {
    /// Time that one conversion may take.
    public var timeLimit: Duration

    public init(timeLimit: Duration = .seconds(4 * 3600)) { self.timeLimit = timeLimit }

    /// Converts the image at `path` to a new qcow2 file at `output`, which appears whole or not at all; what is needed
    /// meanwhile is kept beside it.
    /// - Parameter format: where the user states it; nil tells it by content.
    /// - Parameter progress: called with 0 to 1, on any thread.
    /// - Throws: `invalidArgument` for a damaged image or one that needs other files, `resourceExhausted`, `timeout`,
    ///   `notFound` without the file or qemu-img, `alreadyExists` if there is something at `output`.
    public func convert(
        _ path: String, to output: String, format: DiskFileFormat? = nil,
        progress: @escaping @Sendable (Double) -> Void = { _ in }
    ) async throws -> ImportedDisk {
        guard access(output, F_OK) != 0 else { throw EngineError(.alreadyExists, "\(output) exists already") }
        guard access("/usr/bin/qemu-img", X_OK) == 0 else {
            throw EngineError(.notFound, "qemu-img is not installed", hint: "apt install qemu-utils")
        }
        let staging = try ImportStaging(beside: output)
        do {
            let disk = try await convert(path, output, format, staging, progress)
            try staging.remove()
            return disk
        } catch {
            // The error that is being thrown matters more.
            try? staging.remove()
            throw error
        }
    }

    private func convert(
        _ path: String, _ output: String, _ stated: DiskFileFormat?, _ staging: ImportStaging,
        _ progress: @escaping @Sendable (Double) -> Void
    ) async throws -> ImportedDisk {
        var source = path
        var otherDisks: [String] = []
        var wantsUEFI = false
        var format = stated
        if format == nil {
            let kind = try await runBlocking { try ImageFileKind.detect(path: path) }
            switch kind.content {
            case .disk(let told):
                format = told
                if kind.isCompressed { source = try await staging.uncompressed(path) }
            case .ova:
                let package = try await staging.unpackOVA(path)
                (source, otherDisks, wantsUEFI) = (package.disk, package.otherDisks, package.wantsUEFI)
                guard case .disk(let told) = try ImageFileKind.detect(path: source).content else {
                    throw EngineError(
                        .invalidArgument, "the disk in OVA \(Names.printable(path)) is of no known format")
                }
                format = told
            default:
                throw EngineError(.invalidArgument, "\(Names.printable(path)) is not a disk image")
            }
        }
        guard let format else { throw EngineError(.invalidArgument, "\(Names.printable(path)) is not a disk image") }
        let input = try await staging.readable(DiskInput.open(source, format: format))
        let size = try await virtualSize(input, staging, name: Names.printable(path))
        try await check(input, staging, name: Names.printable(path))
        let result = try staging.createOutput("converted")
        _ = try await staging.sandbox(input, output: result, limit: size + size / 8 + (64 << 20)).run(
            "qemu-img", ["convert", "-p", "-f", format.rawValue, "-O", "qcow2", "/in/disk", "/out"], timeout: timeLimit
        ) { text in
            if let fraction = Self.fraction(text) { progress(fraction) }
        }
        let header = try Qcow2Header(FilePrefix.read(result, count: 4096), name: output)
        try header.checkStandsAlone(name: output)
        let needsUEFI = try await bootsByUEFIOnly(result, staging) || wantsUEFI
        try staging.publish("converted", as: output)
        return ImportedDisk(
            path: output, virtualSize: header.virtualSize, format: format, needsUEFI: needsUEFI, otherDisks: otherDisks)
    }

    private struct Info: Decodable {
        var virtualSize: UInt64
        var backing: String?
        var isEncrypted: Bool?
        enum CodingKeys: String, CodingKey {
            case virtualSize = "virtual-size"
            case backing = "backing-filename"
            case isEncrypted = "encrypted"
        }
    }

    private func virtualSize(_ input: DiskInput, _ staging: ImportStaging, name: String) async throws -> UInt64 {
        let text = try await staging.sandbox(input, output: nil, limit: 1 << 20).run(
            "qemu-img", ["info", "-U", "-f", input.format.rawValue, "--output=json", "/in/disk"], timeout: .seconds(60))
        guard let info = try? JSONDecoder().decode(Info.self, from: Data(text.utf8)) else {
            throw EngineError(.internal, "qemu-img said nothing about disk \(name) that is understood")
        }
        if let backing = info.backing {
            throw EngineError(
                .invalidArgument, "disk \(name) lies over another file, \(Names.quoted(backing)), which is not followed"
            )
        }
        guard info.isEncrypted != true else { throw EngineError(.unsupported, "disk \(name) is encrypted") }
        try DiskSize.check(info.virtualSize, name: name)
        return info.virtualSize
    }

    /// Looks at the tables of the formats that have some: what they place beyond the file's end would read as zeros.
    private func check(_ input: DiskInput, _ staging: ImportStaging, name: String) async throws {
        guard [.qcow2, .vmdk, .vdi, .vhdx].contains(input.format) else { return }
        do {
            // 3: clusters that nothing uses. 63: this subformat cannot be checked.
            _ = try await staging.sandbox(input, output: nil, limit: 1 << 20).run(
                "qemu-img", ["check", "-q", "-U", "-f", input.format.rawValue, "/in/disk"], timeout: timeLimit,
                accepting: [0, 3, 63])
        } catch let error as EngineError where error.code == .invalidArgument {
            throw EngineError(.invalidArgument, "disk \(name) is damaged or cut off", cause: error)
        }
    }

    private func bootsByUEFIOnly(_ disk: OwnedDescriptor, _ staging: ImportStaging) async throws -> Bool {
        let head = try staging.createOutput("head")
        let input = DiskInput(format: .qcow2, files: [ToolSandbox.Input(name: "disk", file: disk)])
        _ = try await staging.sandbox(input, output: head, limit: 1 << 20).run(
            "qemu-img", ["dd", "-U", "-f", "qcow2", "-O", "raw", "bs=64K", "count=1", "if=/in/disk", "of=/out"],
            timeout: .seconds(60))
        return FirmwareGuess.needsUEFI(try FilePrefix.read(head, count: 65536))
    }

    /// Of `    (12.34/100%)`, the last one in `text`.
    static func fraction(_ text: String) -> Double? {
        guard let last = text.split(separator: "(").last, let slash = last.firstIndex(of: "/") else { return nil }
        return Double(last[..<slash].filter { $0 != " " }).map { min(max($0 / 100, 0), 1) }
    }
}
