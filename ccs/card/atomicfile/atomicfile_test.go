package atomicfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/card/atomicfile"
)

func TestWriteReplacesTheFileAndItsMode(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	require.NoError(t, atomicfile.Write(path, []byte("a longer first text"), 0o644))
	require.NoError(t, atomicfile.Write(path, []byte("second"), 0o600))

	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "second", string(got))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	assert.Equal(t, []string{"f"}, names(t, dir))
}

func TestWriteThatFailsLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "child"), 0o700)) // not replaceable

	assert.Error(t, atomicfile.Write(path, []byte("x"), 0o600))
	assert.Equal(t, []string{"taken"}, names(t, dir))
}

func TestWriteNamesThePathOfAMissingFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent", "f")
	err := atomicfile.Write(path, nil, 0o600)
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, filepath.Dir(path))
}

func TestAFileKeepsItsContentUntilCommit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o640))
	content := func() string {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(b)
	}
	begin := func() *atomicfile.File {
		f, err := atomicfile.Create(path)
		require.NoError(t, err)
		_, err = f.Write([]byte("new"))
		require.NoError(t, err)
		assert.Equal(t, "old", content())
		return f
	}
	require.NoError(t, begin().Abort())
	assert.Equal(t, "old", content())
	assert.Equal(t, []string{"f"}, names(t, dir))

	f := begin()
	require.NoError(t, f.Commit())
	assert.Equal(t, "new", content())
	assert.NoError(t, f.Abort(), "after Commit it does nothing")
	assert.Equal(t, "new", content())
	assert.Equal(t, []string{"f"}, names(t, dir))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode(), "the permissions stay")
}

func TestCreateThroughALinkReplacesWhatItLeadsTo(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "f"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	require.NoError(t, os.Symlink("f", link))
	f, err := atomicfile.Create(link)
	require.NoError(t, err)
	_, err = f.Write([]byte("new"))
	require.NoError(t, err)
	require.NoError(t, f.Commit())
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "new", string(got))
	assert.Equal(t, []string{"f", "link"}, names(t, dir))
}

func TestCreateFindsWhatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	_, err := atomicfile.Create(filepath.Join(dir, "absent", "f"))
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, err = atomicfile.Create(dir)
	assert.ErrorContains(t, err, "is a folder")
	f, err := atomicfile.Create(os.DevNull)
	require.NoError(t, err)
	require.NoError(t, f.Commit())
	assert.Empty(t, names(t, dir))
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var s []string
	for _, e := range entries {
		s = append(s, e.Name())
	}
	return s
}
