"""The texts of ``bork help patterns``, ``bork help placeholders`` and ``bork help compression``."""

from __future__ import annotations

_PATTERNS = """\
A pattern chooses items by their path, which has no slash in front: home/user/file. A slash in front of a pattern is
dropped. Of all patterns of a command line, the first that matches an item decides.

STYLES

  A pattern may begin with its style and a colon, as in sh:home/*/.cache.

  fm:  fnmatch. * matches everything, also slashes; ? one character; [seq] one of them, [!seq] none of them. Matches the
       whole path, or its beginning up to a slash. With a slash at its end: the content of a directory, but not the
       directory itself. The default of --exclude and --exclude-from.
  sh:  shell. As fm:, but * and ? do not match a slash, and **/ matches any number of directories, also none.
       The default of --pattern and --patterns-from.
  re:  regular expression. Matches if it is found anywhere in the path; use ^ and $.
  pp:  path prefix: that path, and everything below it. The default of PATH arguments of list, extract, ...
  pf:  full path: exactly that path. It is looked up before all others, whatever their order is.

OPTIONS

  -e, --exclude PATTERN      leave out what matches, and do not look into it
  --exclude-from FILE        the same, one pattern a line
  --pattern COMMAND          one line as in the file of --patterns-from
  --patterns-from FILE       lines of:
      R PATH     a root: the same as a PATH argument, of create and of list, extract, recreate, ...
      P STYLE    the default style of the patterns below this line, until the end of the file
      + PATTERN  include
      - PATTERN  exclude, but look into directories, for there may be something to include
      ! PATTERN  exclude, and do not look into it

  Empty lines and lines that begin with # are skipped, white space around a line is dropped.

EXAMPLES

  bork create -e '*.o' -e home/user/.cache/ REPO::ARCHIVE /home/user
  bork create --pattern='+home/*/pictures/best' --pattern='-home/*/pictures' REPO::ARCHIVE /home
  bork create --patterns-from rules.txt REPO::ARCHIVE

  with rules.txt:
      R /home
      R /etc
      - home/*/.cache
      ! re:^home/[^/]+/tmp/
      + home/susan
      - home/*
"""

_PLACEHOLDERS = """\
In the names of repositories and archives, and in the values of --comment, --prefix, --glob-archives and --remote-path:

  {hostname}      the short name of this machine
  {fqdn}          its full name
  {reverse-fqdn}  its full name, the domain first
  {now}           local date and time, as 2026-11-23T08:12:14
  {utcnow}        the same in UTC
  {unixtime}      seconds since 1970
  {user}          the name of the user who runs bork, or the number if there is no name
  {pid}           the number of this process
  {uuid4}         something random
  {borgversion}, {borgmajor}, {borgminor}, {borgpatch}
                  the version of Borg that this program speaks: 1.4.99, 1, 1.4, 1.4.99

{now} and {utcnow} take a format of strftime: {now:%Y-%m-%d_%H:%M}. With --timestamp they are that time.
{{ and }} are braces. In a unit file of systemd write %% for %.

  bork create REPO::{hostname}-{now:%Y-%m-%d} /home
"""

_COMPRESSION = """\
The compression of an archive is chosen with -C. What is in the repository already is not compressed again, so that
methods may be mixed; whoever stores a chunk first decides.

  none             no compression
  lz4              very fast, compresses little (default). It has no LEVEL, and neither has none: one that is given
                   does nothing
  zstd[,LEVEL]     fast, compresses well; LEVEL 1 to 22, default 3
  zlib[,LEVEL]     LEVEL 0 to 9, default 6
  lzma[,LEVEL]     slow, compresses best; LEVEL 0 to 9, default 6
  auto,C[,LEVEL]   try with lz4 whether the data can be compressed; if so, use C
  obfuscate,SPEC,C[,LEVEL]
                   hide the sizes of chunks behind padding; makes sense with encryption only
                   SPEC 1 to 6: a random factor, 1: up to 100 times, seldom, to 6: up to 10,000,000 times
                   SPEC 110 to 123: up to 2^(SPEC-100) bytes more: 110 is 1 KiB, 123 is 8 MiB
                   SPEC 250: Padmé, at most 12 % more

  bork create -C zstd,10 REPO::ARCHIVE data
  bork create -C auto,lzma,6 REPO::ARCHIVE data
  bork create -C obfuscate,250,zstd,3 REPO::ARCHIVE data
"""

TOPICS: dict[str, str] = {"compression": _COMPRESSION, "patterns": _PATTERNS, "placeholders": _PLACEHOLDERS}
