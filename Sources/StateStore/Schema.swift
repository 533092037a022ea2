internal import GRDB

/// The tables, one migration per released change; a migration is never edited once it was released.
enum Schema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 first tables") { db in
            try db.execute(
                sql: """
                    CREATE TABLE instance (
                      id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
                      UNIQUE (project, name)) STRICT;
                    CREATE TABLE image (digest TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
                    CREATE TABLE image_reference (
                      reference TEXT PRIMARY KEY,
                      digest TEXT NOT NULL REFERENCES image (digest) ON DELETE CASCADE) STRICT;
                    CREATE TABLE profile (
                      project TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
                      PRIMARY KEY (project, name)) STRICT;
                    CREATE TABLE network (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
                    CREATE TABLE volume (
                      project TEXT NOT NULL, pool TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
                      PRIMARY KEY (project, pool, name)) STRICT;
                    CREATE TABLE reservation (
                      instance TEXT NOT NULL REFERENCES instance (id) ON DELETE CASCADE, device TEXT NOT NULL,
                      network TEXT NOT NULL, ipv4 TEXT, ipv6 TEXT, document TEXT NOT NULL,
                      PRIMARY KEY (instance, device), UNIQUE (network, ipv4), UNIQUE (network, ipv6)) STRICT;
                    CREATE TABLE id_range (
                      slot INTEGER PRIMARY KEY,
                      instance TEXT NOT NULL UNIQUE REFERENCES instance (id) ON DELETE CASCADE) STRICT;
                    CREATE TABLE journal (
                      sequence INTEGER PRIMARY KEY AUTOINCREMENT, instance TEXT NOT NULL, step TEXT NOT NULL,
                      detail TEXT NOT NULL) STRICT;
                    CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
                    """)
        }
        migrator.registerMigration("storage: snapshots, pools, backups") { db in
            try db.execute(
                sql: """
                    CREATE TABLE snapshot (
                      id TEXT PRIMARY KEY, instance TEXT NOT NULL REFERENCES instance (id) ON DELETE CASCADE,
                      name TEXT NOT NULL, document TEXT NOT NULL, UNIQUE (instance, name)) STRICT;
                    CREATE TABLE pool (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
                    CREATE TABLE volume_snapshot (
                      project TEXT NOT NULL, pool TEXT NOT NULL, volume TEXT NOT NULL, name TEXT NOT NULL,
                      document TEXT NOT NULL, PRIMARY KEY (project, pool, volume, name),
                      FOREIGN KEY (project, pool, volume) REFERENCES volume (project, pool, name)
                        ON DELETE CASCADE ON UPDATE CASCADE) STRICT;
                    CREATE TABLE backup (
                      id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
                      UNIQUE (owner, name)) STRICT;
                    """)
        }
        migrator.registerMigration("image aliases") { db in
            try db.execute(
                sql: """
                    CREATE TABLE image_alias (
                      project TEXT NOT NULL, name TEXT NOT NULL,
                      digest TEXT NOT NULL REFERENCES image (digest) ON DELETE CASCADE, document TEXT NOT NULL,
                      PRIMARY KEY (project, name)) STRICT;
                    """)
        }
        migrator.registerMigration("access: documents") { db in
            try db.execute(
                sql: """
                    CREATE TABLE document (
                      collection TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
                      PRIMARY KEY (collection, name)) STRICT;
                    """)
        }
        return migrator
    }
}
