import LinuxHost
import Model

/// Finds and downloads the distribution's kernel package through apt, without touching the system: nothing is
/// installed, and what apt writes stays in a private folder.
struct KernelPackage {
    /// Folder for apt's files and the download; the caller removes it.
    let folder: String
    private static let timeout = Duration.seconds(600)

    /// Meta packages that stand for the newest kernel, the smallest first: Debian's cloud kernel, Ubuntu's for virtual
    /// machines, Debian's general one.
    static func metaPackages(architecture: String) -> [String] {
        ["linux-image-cloud-\(architecture)", "linux-image-virtual", "linux-image-\(architecture)"]
    }

    /// Debian's name for this machine's architecture.
    static var architecture: String {
        #if arch(arm64)
            "arm64"
        #else
            "amd64"
        #endif
    }

    /// Real packages to download: the kernel's, and that of its modules where they are apart.
    func resolve() async throws -> [String] {
        for options in [[], privateLists] {
            if !options.isEmpty {
                try await apt("apt-get", options + ["update", "-q"])
            }
            for meta in KernelPackage.metaPackages(architecture: KernelPackage.architecture) {
                guard let image = try await dependency(of: meta, prefix: "linux-image-", options) else { continue }
                let modules = try await dependency(of: image, prefix: "linux-modules-", options)
                return [image] + (modules.map { [$0] } ?? [])
            }
        }
        throw EngineError(
            .notFound, "apt knows no kernel package for machines",
            hint: "check /etc/apt/sources.list: a Debian or Ubuntu archive with linux-image-cloud-amd64 or "
                + "linux-image-virtual is needed")
    }

    /// Downloads the packages and unpacks them below `target`; apt checks them against the archive's signature.
    func download(_ packages: [String], into target: String) async throws {
        let hasLists = try await dependency(of: packages[0], prefix: "", []) != nil
        try await apt(
            "apt-get",
            (hasLists ? [] : privateLists) + ["-o", "APT::Sandbox::User=root", "-q", "download", "--"] + packages)
        let root = try RootDirectory(path: folder)
        for entry in try root.list() where entry.name.text.hasSuffix(".deb") {
            try await ProcessRunner.check(
                "/usr/bin/dpkg-deb", ["-x", folder + "/" + entry.name.text, target], timeout: KernelPackage.timeout)
        }
    }

    /// First package that `package` depends on and whose name begins with `prefix`; nil if it is not known.
    private func dependency(of package: String, prefix: String, _ options: [String]) async throws -> String? {
        let result = try await ProcessRunner.run(
            "/usr/bin/apt-cache", options + ["depends", "--important", "--", package], timeout: KernelPackage.timeout)
        guard result.status.isSuccess else { return nil }
        return KernelPackage.dependency(in: result.outputText, prefix: prefix)
    }

    static func dependency(in text: String, prefix: String) -> String? {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, words[0] == "Depends:", words[1].hasPrefix(prefix), !words[1].hasPrefix("<") {
                return String(words[1])
            }
        }
        return nil
    }

    private var privateLists: [String] {
        ["-o", "Dir::State=\(folder)/apt", "-o", "Dir::Cache=\(folder)/apt", "-o", "Dir::State::status=/dev/null"]
    }

    private func apt(_ program: String, _ arguments: [String]) async throws {
        let result = try await ProcessRunner.run(
            "/usr/bin/" + program, arguments, workingDirectory: folder, timeout: KernelPackage.timeout)
        guard result.status.isSuccess else {
            throw EngineError(
                .unavailable, "apt cannot fetch the kernel package: \(result.lastWords)",
                hint: "check the machine's apt mirror with: apt-get update")
        }
    }
}
