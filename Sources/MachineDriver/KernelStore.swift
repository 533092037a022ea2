import FoundationEssentials
import Glibc
import LinuxHost
import Model

/// A kernel that machines can be booted with.
public struct KernelInfo: Sendable, Hashable, Codable {
    /// As `uname -r` says it in the machine.
    public var version: String
    /// Package it came from.
    public var package: String
    /// File names of the kernel in the kernel's folder: the plain ELF file where there is one, else the packed one.
    public var image: String
    /// Bytes on disk.
    public var size: Int64
    /// Seconds since 1970.
    public var fetchedAt: Double
}

/// Keeps the kernels for machines that are booted directly, each whole in a folder of its own: the kernel, the modules
/// for the initial file system (`modules.cpio`), and `kernel.json`.
public actor KernelStore {
    private let directory: String
    private var fetching: Task<KernelInfo, any Error>?
    /// Held by the process that fetches: several may share a folder of kernels.
    private static let lockName = ".lock"

    /// - Parameter directory: absolute; made on first use.
    public init(directory: String) { self.directory = directory }

    /// All kernels, the newest version first. A folder that cannot be read is passed over.
    public func list() throws -> [KernelInfo] {
        guard let root = try existing() else { return [] }
        var found: [KernelInfo] = []
        for entry in try root.list() where entry.kind == .directory && !entry.name.text.hasPrefix(".") {
            guard let bytes = try? root.readFile("\(entry.name.text)/kernel.json", limit: 65536),
                let info = try? JSONDecoder().decode(KernelInfo.self, from: Data(bytes)),
                info.version == entry.name.text
            else { continue }
            found.append(info)
        }
        return found.sorted { KernelStore.isNewer($0.version, $1.version) }
    }

    /// The newest kernel; fetched if there is none yet.
    /// - Parameter version: a certain one instead; `notFound` if it is not there.
    public func kernel(_ version: String? = nil) async throws -> Kernel {
        let all = try list()
        if let version {
            guard let info = all.first(where: { $0.version == version }) else {
                throw EngineError(
                    .notFound, "kernel \(Names.quoted(version)) is not there",
                    hint: "isle kernel list shows those that are")
            }
            return Kernel(info: info, directory: directory)
        }
        if let info = all.first { return Kernel(info: info, directory: directory) }
        return Kernel(info: try await fetch(), directory: directory)
    }

    /// Fetches the newest kernel of the distribution; gives the one that is there if it is that. Parallel calls do
    /// the work once, those of other processes too.
    @discardableResult
    public func fetch() async throws -> KernelInfo {
        if let fetching { return try await fetching.value }
        let task = Task { try await fetchNow() }
        fetching = task
        defer { fetching = nil }
        return try await task.value
    }

    /// Removes a kernel. Machines that run with it go on. `notFound` if it is not there.
    public func remove(_ version: String) throws {
        guard let root = try existing(), try list().contains(where: { $0.version == version }) else {
            throw EngineError(.notFound, "kernel \(Names.quoted(version)) is not there")
        }
        try root.removeTree(version)
    }

    private func existing() throws -> RootDirectory? {
        do {
            return try RootDirectory(path: directory, confinement: .beneath)
        } catch let error as EngineError where error.code == .notFound {
            return nil
        }
    }

    private func fetchNow() async throws -> KernelInfo {
        let root = try RootDirectory(path: directory, create: true, confinement: .beneath)
        let lock = try await FileLock(waitingFor: "\(directory)/\(KernelStore.lockName)")
        defer { withExtendedLifetime(lock) {} }
        let work = ".fetch"
        // A process that was killed while it fetched left its work behind.
        try root.removeTree(work)
        try root.makeDirectory(work, mode: 0o700)
        defer { try? root.removeTree(work) }
        for part in ["apt", "apt/lists", "apt/lists/partial", "apt/archives", "apt/archives/partial", "x", "new"] {
            try root.makeDirectory("\(work)/\(part)")
        }
        let package = KernelPackage(folder: "\(directory)/\(work)")
        let names = try await package.resolve()
        if let present = try list().first(where: { $0.package == names[0] }) { return present }
        try await package.download(names, into: "\(directory)/\(work)/x")
        let info = try await assemble(
            try root.subdirectory("\(work)/x"), try root.subdirectory("\(work)/new"), package: names[0])
        try root.removeTree(info.version)
        try root.rename("\(work)/new", to: info.version)
        return info
    }

    /// Makes the files of one kernel out of an unpacked package.
    private func assemble(_ source: RootDirectory, _ target: RootDirectory, package: String) async throws -> KernelInfo
    {
        guard let file = try source.list("boot").first(where: { $0.name.text.hasPrefix("vmlinuz-") })?.name.text else {
            throw EngineError(.internal, "package \(package) holds no kernel in /boot")
        }
        let version = String(file.dropFirst("vmlinuz-".count))
        let packed = try source.readFile("boot/\(file)", limit: 256 << 20)
        var image = "vmlinuz"
        let config = (try? source.readFile("boot/config-\(version)")) ?? []
        if String(decoding: config, as: UTF8.self).contains("CONFIG_PVH=y") {
            try target.writeFile("vmlinux", try await KernelImage.extractELF(packed))
            image = "vmlinux"
        } else {
            try target.writeFile("vmlinuz", packed)
        }
        let folder = try source.exists("lib/modules/\(version)") ? "lib" : "usr/lib"
        let modules = try KernelModules(try source.subdirectory("\(folder)/modules/\(version)"))
        let base = folder == "lib" ? source.path : source.path + "/usr"
        try await ModulesDisk.make(base: base, version: version, target: target)
        let early = try await modules.load(KernelModules.early)
        let late = try await modules.load(KernelModules.late, before: early.map(\.name))
        let sharing = try await modules.load(KernelModules.sharing, before: early.map(\.name))
        var archive = CPIOArchive()
        archive.addFolder("lib")
        for (name, content) in early + late + sharing { archive.addFile("lib/\(name).ko", content) }
        for (file, part) in [("modules", early), ("modules.late", late), ("modules.share", sharing)] {
            archive.addFile(file, Array(part.map { "\($0.name).ko\n" }.joined().utf8))
        }
        let bytes = archive.finished()
        try target.writeFile("modules.cpio", bytes)
        let size = try target.list().reduce(Int64(0)) { try $0 + (target.status($1.name)?.allocated ?? 0) }
        let info = KernelInfo(
            version: version, package: package, image: image, size: size, fetchedAt: Date().timeIntervalSince1970)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        try target.writeFile("kernel.json", [UInt8](try encoder.encode(info)))
        return info
    }

    /// Compares versions by their runs of digits: 6.1.0-10 is newer than 6.1.0-9.
    static func isNewer(_ left: String, _ right: String) -> Bool {
        func numbers(_ text: String) -> [Int] {
            text.split(whereSeparator: { !("0"..."9").contains($0) }).map { Int($0) ?? 0 }
        }
        return numbers(right).lexicographicallyPrecedes(numbers(left))
    }
}

/// Where the files of one kernel are.
public struct Kernel: Sendable, Hashable {
    public var info: KernelInfo
    private let directory: String

    init(info: KernelInfo, directory: String) {
        self.info = info
        self.directory = directory
    }

    public var imagePath: String { "\(directory)/\(info.version)/\(info.image)" }
    /// A cpio archive with the modules that a machine loads first.
    public var modulesPath: String { "\(directory)/\(info.version)/modules.cpio" }
    /// A disk with all the kernel's modules for whole systems; nil if it could not be made.
    public var modulesDisk: String? {
        let path = "\(directory)/\(info.version)/\(ModulesDisk.name)"
        return access(path, R_OK) == 0 ? path : nil
    }
}
