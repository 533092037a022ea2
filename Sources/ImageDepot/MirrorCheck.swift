public import DriverKit
import Glibc
import LinuxHost
import Model

extension ImageDepot {
    /// Whether images can be had: the host trusts certificate authorities, mmdebstrap is installed, and the package
    /// mirror that apt uses answers. For `isle doctor`.
    public func check() async -> [HostCheck] { [Self.checkAuthorities()] + (await checkMirror()) }

    private static func checkAuthorities() -> HostCheck {
        let name = "certificate authorities"
        guard let bundle = CertificateAuthorities.bundle else {
            return HostCheck(
                name, .warning, "this host trusts none: registries and image servers cannot be reached over TLS",
                advice: CertificateAuthorities.advice)
        }
        return HostCheck(name, .ok, bundle)
    }

    private func checkMirror() async -> [HostCheck] {
        let name = "package mirror"
        guard let system = HostSystem.read(), let mirror = try? Mirror(distribution: system.id, suite: system.codename)
        else {
            return [
                HostCheck(
                    name, .warning, "this host is neither Debian nor Ubuntu: the distributions' own mirrors are used",
                    advice: "images from registries and files need no mirror")
            ]
        }
        do {
            _ = try await ProcessRunner.run("mmdebstrap", ["--version"], timeout: .seconds(10))
        } catch {
            return [
                HostCheck(
                    name, .warning, "mmdebstrap is not installed",
                    advice: "apt-get install mmdebstrap: without it debian/SUITE cannot be made, all other images can")
            ]
        }
        let release = "\(mirror.address)/dists/\(system.codename)/Release"
        if let failure = await Self.failureToFetch(release, into: temporary) {
            return [
                HostCheck(
                    name, .warning, "\(mirror.address) does not answer: \(failure)",
                    advice: "look at apt's sources and its proxy; images that are here already need no mirror")
            ]
        }
        return [HostCheck(name, .ok, "\(mirror.address) has \(system.codename)")]
    }

    /// Why apt's own downloader, with its proxies and certificates, does not get the file; nil if it does.
    private static func failureToFetch(_ address: String, into folder: String) async -> String? {
        let file = "\(folder)/mirror-check-\(UInt64.random(in: .min ... .max))"
        defer { unlink(file) }
        do {
            let result = try await ProcessRunner.run(
                "/usr/lib/apt/apt-helper",
                [
                    "-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=3", "-o", "Acquire::https::Timeout=3",
                    "download-file", address, file,
                ], timeout: .seconds(10))
            // Its warnings are about how it works, only the error is about the mirror.
            let errors = result.errorText.split(separator: "\n").filter { $0.hasPrefix("E: ") }
            return result.status.isSuccess ? nil : errors.first.map { String($0.dropFirst(3)) } ?? result.lastWords
        } catch { return "\(error)" }
    }
}

/// What os-release(5) says of the host.
private struct HostSystem {
    var id: String
    var codename: String

    /// Nil where the file is missing or does not name both.
    static func read() -> HostSystem? {
        guard let bytes = try? readSmallFile("/etc/os-release", limit: 1 << 16) else { return nil }
        var values: [String: String] = [:]
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { continue }
            values[String(parts[0])] = parts[1].filter { $0 != "\"" }
        }
        guard let id = values["ID"], let codename = values["VERSION_CODENAME"], !codename.isEmpty else { return nil }
        return HostSystem(id: id, codename: codename)
    }
}
