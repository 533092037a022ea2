import LinuxHost
import Model

/// Finds the credentials of a registry in the files and helper programs that the other tools of the field use.
struct CredentialStore: Sendable {
    /// Files in the order in which they are asked; missing ones are passed over.
    var files: [String]
    var helperTimeout: Duration = .seconds(30)

    /// The credentials for a repository; nil if none are stored. The files are read anew each time, so that a login is
    /// seen at once.
    func find(registry: String, repository: String) async throws -> RegistryCredentials? {
        let keys = AuthFile.keys(registry: registry, repository: repository)
        for path in files {
            let bytes: [UInt8]
            do {
                bytes = try await runBlocking { try readSmallFile(path, limit: 1 << 20) }
            } catch let error as EngineError where error.code == .notFound {
                continue
            }
            let file = try AuthFile(parsing: bytes, path: path)
            for key in keys {
                if let helper = file.helpers[key],
                    let found = try await CredentialHelper.get(helper, registry: key, timeout: helperTimeout)
                {
                    return found
                }
                if let found = file.entries[key] { return found }
            }
            if let helper = file.defaultHelper,
                let found = try await CredentialHelper.get(helper, registry: registry, timeout: helperTimeout)
            {
                return found
            }
        }
        return nil
    }
}
