import LinuxHost
import Model

/// The modules of one kernel package: finds those that a machine needs before it has its root disk.
struct KernelModules {
    /// What a machine needs before it has its root disk and its agent, in the order in which it is loaded.
    static let early = ["virtio_pci", "virtio_blk", "virtio_console", "ext4"]
    /// What can be loaded beside the start of the guest's first program.
    static let late = ["virtio_net", "virtio_rng", "virtio_balloon"]
    /// For folders of the host.
    static let sharing = ["virtiofs"]

    /// Path of each module below the folder, by its name with underscores.
    private var paths: [String: String] = [:]
    private var builtin: Set<String> = []
    private let root: RootDirectory

    /// `root` is the folder `lib/modules/<version>` of a package.
    init(_ root: RootDirectory) throws {
        self.root = root
        let list = String(decoding: try root.readFile("modules.builtin"), as: UTF8.self)
        builtin = Set(list.split(separator: "\n").map { KernelModules.name($0) })
        for top in ["kernel", "updates"] where try root.exists(top) { try scan(HostPath(top), depth: 0) }
    }

    private mutating func scan(_ folder: HostPath, depth: Int) throws {
        guard depth < 16 else { return }
        for entry in try root.list(folder) {
            let path = folder.appending(entry.name)
            if entry.kind == .directory {
                try scan(path, depth: depth + 1)
            } else if entry.name.text.contains(".ko") {
                paths[KernelModules.name(Substring(entry.name.text))] = path.text
            }
        }
    }

    /// `kernel/fs/virtio-rng.ko.xz` → `virtio_rng`
    static func name(_ path: Substring) -> String {
        let file = path.split(separator: "/").last ?? ""
        let stem = file.split(separator: ".").first ?? ""
        return String(stem.map { $0 == "-" ? "_" : $0 })
    }

    /// The wanted modules and all they need, unpacked, each after those it needs. What is built into the kernel, or not
    /// there at all, is left out.
    /// - Parameter before: names of those that are loaded already.
    func load(_ names: [String], before: [String] = []) async throws -> [(name: String, content: [UInt8])] {
        var done = Set(before)
        var result: [(String, [UInt8])] = []
        for name in names { try await add(name, &done, &result) }
        return result
    }

    private func add(_ name: String, _ done: inout Set<String>, _ result: inout [(String, [UInt8])]) async throws {
        guard !done.contains(name), !builtin.contains(name), let path = paths[name] else { return }
        done.insert(name)
        let content = try await unpack(path, try root.readFile(path, limit: 64 << 20))
        for needed in KernelModules.dependencies(content) { try await add(needed, &done, &result) }
        result.append((name, content))
    }

    private func unpack(_ path: String, _ content: [UInt8]) async throws -> [UInt8] {
        guard let tool = [".xz": "xz", ".zst": "zstd", ".gz": "gzip"].first(where: { path.hasSuffix($0.key) })?.value
        else { return content }
        return try await ProcessRunner.check(
            "/usr/bin/" + tool, ["-dc"], input: content, limit: 64 << 20
        ).output
    }

    /// The names after `depends=` in the module's `.modinfo` section, which is a run of NUL-terminated texts.
    static func dependencies(_ module: [UInt8]) -> [String] {
        let key = Array("\0depends=".utf8)
        var position = 0
        while position + key.count <= module.count {
            guard let candidate = module[position...].firstIndex(of: 0) else { return [] }
            if module[candidate...].starts(with: key) {
                let value = module[(candidate + key.count)...].prefix { $0 != 0 }
                return String(decoding: value, as: UTF8.self).split(separator: ",").map { name($0) }
            }
            position = candidate + 1
        }
        return []
    }
}
