import { describe, expect, test } from 'vitest';
import { cleanMail, cleanText } from '../../../shared/text/clean.ts';
import { parseMail } from '../../../shared/text/mail.ts';

const mail = (text: string) => parseMail(new TextEncoder().encode(text.replaceAll('\n', '\r\n')));

describe('reading a message', () => {
  test('plain text with an envelope line, encoded subject, quoted-printable latin-1', async () => {
    const m = await mail(
      'From someone@example.org Mon Sep 1\nFrom: A B <A.B@Example.org>\nSubject: =?iso-8859-1?Q?Caf=E9?=\nMessage-ID: <1@x>\nIn-Reply-To: <0@x>\nReferences: <0@x> <00@x>\nList-Id: A list <list.example.org>\nX-Spam-Status: Yes\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nna=EFve =\ntext\n',
    );
    expect(m).toMatchObject({
      subject: 'Café',
      sender: 'a.b@example.org',
      messageId: '<1@x>',
      references: ['<0@x>', '<00@x>'],
      list: 'list.example.org',
    });
    expect(m.body.trim()).toBe('naïve text');
    expect(JSON.stringify(m)).not.toContain('Yes');
  });
  test('the text part of a multipart is read, an attachment is not', async () => {
    const m = await mail(
      'Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nhello\n--b\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename=secret.txt\n\nATTACHED\n--b--\n',
    );
    expect(m.body).toContain('hello');
    expect(m.body).not.toContain('ATTACHED');
  });
  test('HTML alone, and HTML sent as plain text, become text without markup and scripts', async () => {
    const html =
      '<html><head><style>p{color:red}</style><script>evil()</script></head><body><h1>Buy</h1><p>now &amp; <a href="http://x.example/">here</a></p></body></html>';
    for (const type of ['text/html', 'text/plain']) {
      const { body } = await mail(`Subject: s\nContent-Type: ${type}\n\n${html}\n`);
      expect(body.replace(/\s+/g, ' ').trim()).toBe('Buy now & here');
    }
  });
  test('deep nesting and garbage end in a mail or a coded error', async () => {
    const nested = 'Content-Type: multipart/mixed; boundary=b\n\n--b\n'.repeat(500);
    await expect(mail(nested)).rejects.toMatchObject({ code: 'MAIL_INVALID' });
    expect(await parseMail(Uint8Array.of(0xff, 0x00, 0x80))).toMatchObject({ subject: '' });
    expect(await parseMail(new Uint8Array(0))).toMatchObject({ subject: '', body: '', sender: '' });
  });
});

describe('cleaning', () => {
  const marks = { hosts: ['taint.org'], words: ['zzzz'] };

  test('tags, footers, feed lines, links, addresses and marks are taken out', () => {
    const body = [
      'URL: http://feed.example/1',
      'Date: Not supplied',
      '',
      'See https://a.example/b?c=d, www.b.example or mail me@there.example,',
      'zzzz saw it on   mail.spamassassin.taint.org yesterday.',
      'Date: matters are for tomorrow',
      '-------------------------------------------------------',
      'This sf.net email is sponsored by:ThinkGeek',
      'Welcome to geek heaven.',
      'http://thinkgeek.com/sf',
      '_______________________________________________',
      'Spamassassin-talk mailing list',
      'Spamassassin-talk@lists.sourceforge.net',
      'https://lists.sourceforge.net/lists/listinfo/spamassassin-talk',
    ].join('\n');
    expect(cleanMail('Re: [SAtalk] hello  there', body, marks)).toBe(
      'Re: hello there\nSee url url or mail email , saw it on yesterday.',
    );
  });
  test('quoted footers and the groups sponsor go, signatures and other rules stay', () => {
    const yahoo =
      '------------------------ Yahoo! Groups Sponsor ---------------------~-->\n4 DVDs Free\nhttp://us.click.yahoo.com/x\n---------------------------------------------------------------------~->\n';
    const body = `kept\n${yahoo}\nTo unsubscribe from this group, send an email to:\nx-unsubscribe@egroups.com\n> ________________________________________\n> Exmh-users mailing list\n> https://listman.redhat.com/mailman/listinfo/exmh-users\n--------------------\nsignature`;
    expect(cleanMail('', body)).toBe('kept -------------------- signature');
  });
  test('a hostile text takes no time', () => {
    // Of this processor: on a busy machine the clock says little.
    const start = process.cpuUsage();
    for (const s of [
      'a'.repeat(200_000),
      'a.'.repeat(100_000),
      'x@'.repeat(100_000),
      '-'.repeat(200_000),
      '[a'.repeat(100_000),
      'http://'.repeat(50_000),
    ]) {
      cleanMail(s, s, marks);
      cleanText(s);
    }
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(3000);
  });
});
